"""The events by their definition, from whole calls of activity: slow, obvious, and nothing in common with
the engine."""

from itertools import pairwise

Spurt = tuple[int, int]


def talkspurts(active: list[bool]) -> list[Spurt]:
    """Active runs, gaps of up to 10 frames bridged, those below 4 frames dropped."""
    runs: list[Spurt] = []
    for frame in (i for i, on in enumerate(active) if on):
        if runs and frame - runs[-1][1] <= 10:
            runs[-1] = (runs[-1][0], frame + 1)
        else:
            runs.append((frame, frame + 1))
    return [(start, end) for start, end in runs if end - start >= 4]


def overlaps(a: list[Spurt], b: list[Spurt]) -> list[Spurt]:
    """Intersections of at least 10 frames."""
    both = [(max(x[0], y[0]), min(x[1], y[1])) for x in a for y in b]
    return sorted((start, end) for start, end in both if end - start >= 10)


def interruptions(a: list[Spurt], b: list[Spurt]) -> list[Spurt]:
    """Where b interrupts a: from b's start to a's end."""
    return [(b0, a1) for a0, a1 in a for b0, b1 in b if b0 - a0 > 5 and a1 - b0 > 15 and b1 > a1 + 15]


def long_pauses(a: list[Spurt], b: list[Spurt], frames: int) -> list[Spurt]:
    """Stretches of 150 frames or more after the first speech without any."""
    busy = sorted(a + b)
    if not busy:
        return []
    merged = [busy[0]]
    for start, end in busy[1:]:
        if start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    gaps = [(x[1], y[0]) for x, y in pairwise([*merged, (frames, frames)])]
    return [(start, end) for start, end in gaps if end - start >= 150]

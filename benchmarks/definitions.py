"""What is true of a call whose speech is known, by the definitions of docs/hearing.md: slow, obvious, and nothing in
common with the engine.

Times are whole milliseconds. A length that is less than `doubt_ms` away from the limit that decides is in doubt: the
label, if there is one, is not `sure`, and counts neither way when an engine is scored. By default nothing is in doubt.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Spurt = tuple[int, int]
"""[start, end) of speech, ms."""

BRIDGE_MS = 200
SHORTEST_SPURT_MS = 80
OVERLAP_MS = 200
INTERRUPT_BEFORE_MS, INTERRUPT_TOGETHER_MS, INTERRUPT_AFTER_MS = 100, 300, 300
LONG_PAUSE_MS = 3000
QUIET_MS = 5000
ONE_WAY_NEVER_MS, ONE_WAY_SINCE_MS = 15_000, 30_000
ONE_WAY_TALK_MS, ONE_WAY_SPURTS = 10_000, 3
FLOOR_MS = 1000
SPIKE_DB = 10.0
SPIKE_FRAME_MS, SPIKE_WINDOW_MS = 20, 100
SPIKE_SUSTAINED_MS, SPIKE_BRIDGE_MS = 100, 200
SPIKE_REFERENCE_MS, SPIKE_LEAST_REFERENCE_MS = 15_000, 1500
SPIKE_REFRACTORY_MS = 2000


class Label(NamedTuple):
    """Something that is true of [start, end), ms."""

    start: int
    end: int
    sure: bool = True


def runs(flags: Sequence[bool] | NDArray[np.bool_], step_ms: int) -> list[Spurt]:
    """Stretches of true, each flag `step_ms` long."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(start) * step_ms, int(end) * step_ms) for start, end in edges.reshape(-1, 2)]


def talkspurts(active: Sequence[bool] | NDArray[np.bool_], step_ms: int) -> list[Spurt]:
    """Active runs, gaps of up to 200 ms bridged, then those below 80 ms dropped."""
    joined = merged(runs(active, step_ms), BRIDGE_MS)
    return [(start, end) for start, end in joined if end - start >= SHORTEST_SPURT_MS]


def merged(spurts: Iterable[Spurt], bridge_ms: int = 0) -> list[Spurt]:
    """Stretches in which any of these goes on, gaps of up to `bridge_ms` bridged."""
    joined: list[Spurt] = []
    for start, end in sorted(spurts):
        if joined and start - joined[-1][1] <= bridge_ms:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def gaps(spurts: Iterable[Spurt], start_ms: int, end_ms: int) -> list[Spurt]:
    """What none of these covers between two times."""
    edges = [(start_ms, start_ms), *merged(spurts), (end_ms, end_ms)]
    between = [(max(before[1], start_ms), min(after[0], end_ms)) for before, after in pairwise(edges)]
    return [(start, end) for start, end in between if end > start]


def overlaps(a: Sequence[Spurt], b: Sequence[Spurt], doubt_ms: int = 0) -> list[Label]:
    """Intersections of two talkspurts of at least 200 ms."""
    both = sorted((max(x[0], y[0]), min(x[1], y[1])) for x in a for y in b)
    return _at_least(OVERLAP_MS, both, doubt_ms)


def interruptions(a: Sequence[Spurt], b: Sequence[Spurt], doubt_ms: int = 0) -> list[Label]:
    """Where b interrupts a: from b's start to a's end. All three limits have to be exceeded."""
    found = []
    for (a0, a1), (b0, b1) in product(a, b):
        beyond = (
            b0 - a0 - INTERRUPT_BEFORE_MS,
            a1 - b0 - INTERRUPT_TOGETHER_MS,
            b1 - a1 - INTERRUPT_AFTER_MS,
        )
        found += _verdict((b0, a1), min(beyond) - 1, doubt_ms)
    return sorted(found)


def long_pauses(speech: Iterable[Spurt], end_ms: int, hold: Sequence[Spurt] = (), doubt_ms: int = 0) -> list[Label]:
    """Stretches of 3 s without any of this speech, after its first; none that touches a hold."""
    spoken = merged(speech)
    if not spoken:
        return []
    quiet = [gap for gap in gaps(spoken, spoken[0][0], end_ms) if not _touches(gap, hold)]
    return _at_least(LONG_PAUSE_MS, quiet, doubt_ms)


def quiet_silences(speech: Iterable[Spurt], end_ms: int, taken: Sequence[Spurt] = (), doubt_ms: int = 0) -> list[Label]:
    """Stretches of 5 s without any of this speech, but those that touch a silence of another kind."""
    quiet = [gap for gap in gaps(speech, 0, end_ms) if not _touches(gap, taken)]
    return _at_least(QUIET_MS, quiet, doubt_ms)


def one_way_silences(mine: Sequence[Spurt], other: Sequence[Spurt], end_ms: int, doubt_ms: int = 0) -> list[Label]:
    """Stretches in which a channel says nothing while the other talks: for 15 s from the other's first speech if it
    has never spoken, else for 30 s."""
    found: list[Label] = []
    for start, end in gaps(mine, 0, end_ms) if other else []:
        spoken = any(spurt[0] < start for spurt in mine)
        limit = ONE_WAY_SINCE_MS if spoken else ONE_WAY_NEVER_MS
        start = start if spoken else max(start, other[0][0])
        heard = [min(o1, end) - max(o0, start) for o0, o1 in other if min(o1, end) > max(o0, start)]
        if len(heard) >= ONE_WAY_SPURTS:
            found += _verdict((start, end), min(end - start - limit, sum(heard) - ONE_WAY_TALK_MS), doubt_ms)
    return found


def floor_changes(a: Sequence[Spurt], b: Sequence[Spurt], doubt_ms: int = 0) -> list[tuple[int, Label]]:
    """Where the floor, held by the last to speak alone for 1 s, changes hands: who takes it (0 or 1), and a label
    from the start of the talkspurt in which that was until it had lasted 1 s."""
    alone = sorted(
        (gap, who, spurt)
        for who, (mine, other) in enumerate(((a, b), (b, a)))
        for spurt in mine
        for gap in gaps(other, *spurt)
    )
    found: list[tuple[int, Label]] = []
    holders: set[int] = set()  # who has the floor; both where that is in doubt
    for gap, who, spurt in alone:
        for label in _at_least(FLOOR_MS, [gap], doubt_ms):
            if holders and holders != {who}:
                found.append((who, Label(spurt[0], gap[0] + FLOOR_MS, label.sure and who not in holders)))
            holders = {who} if label.sure else holders | {who}
    return found


def volume_spikes(
    power: NDArray[np.float64], active: NDArray[np.bool_], doubt_ms: int = 0, doubt_db: float = 0.0
) -> list[Label]:
    """Where windows of 100 ms stand 10 dB or more above the median of the last 15 s of speech, for 100 ms or more.

    Args:
        power: mean power of each 20 ms frame, in any unit.
        active: which of the frames are speech.
        doubt_ms: see above.
        doubt_db: a spike by less than this beyond the limit of 10 dB, or that much short of it, is in doubt too.
    """
    gains_db = _gains_db(power, active)
    spikes = _spikes(gains_db, SPIKE_DB, 0)
    doubtful = [_spikes(gains_db, SPIKE_DB + db, doubt_ms) for db in (-doubt_db, 0.0, doubt_db)]
    sure = [spike for spike in spikes if all(_is_among(spike, others) for others in doubtful)]
    others = {spike._replace(sure=False) for spike in (*spikes, *doubtful[0], *doubtful[1])}
    return sorted(sure + [spike for spike in others if not _touches(spike[:2], [known[:2] for known in sure])])


def _is_among(spike: Label, others: Iterable[Label]) -> bool:
    """Whether one of these surely is this spike."""
    return any(other.sure and abs(other.start - spike.start) <= SPIKE_WINDOW_MS for other in others)


def _gains_db(power: NDArray[np.float64], active: NDArray[np.bool_]) -> NDArray[np.float64]:
    """By how much the window that ends with each frame stands out, dB; -inf while there is no reference."""
    window = SPIKE_WINDOW_MS // SPIKE_FRAME_MS
    mean = np.convolve(power, np.ones(window) / window)[: len(power)]
    gains_db = np.full(len(power), -np.inf)
    spoken: list[float] = []
    for frame in range(len(power)):
        if len(spoken) * SPIKE_FRAME_MS >= SPIKE_LEAST_REFERENCE_MS and mean[frame] > 0:
            reference = np.median(spoken[-SPIKE_REFERENCE_MS // SPIKE_FRAME_MS :])
            gains_db[frame] = 10 * np.log10(mean[frame] / reference)
        if active[frame]:
            spoken.append(power[frame])
    return gains_db


def _spikes(gains_db: NDArray[np.float64], limit_db: float, doubt_ms: int) -> list[Label]:
    """Spikes by their loud windows, pauses of less than 200 ms bridged; none begins within 2 s of another's end, and
    whether one does is in doubt if the other is."""
    found: list[Label] = []
    for start, end in runs(gains_db >= limit_db, SPIKE_FRAME_MS):
        near = [spike for spike in found if start < spike.end + SPIKE_REFRACTORY_MS]
        if near and start - near[-1].end < SPIKE_BRIDGE_MS and _lasts(near[-1]):
            found[-1] = near[-1]._replace(end=end)
        elif not any(spike.sure for spike in near):
            onset = start + SPIKE_FRAME_MS - SPIKE_WINDOW_MS
            spikes = _verdict((onset, end), end - start - SPIKE_SUSTAINED_MS, doubt_ms)
            found += [spike._replace(sure=spike.sure and not near) for spike in spikes]
    return found


def _lasts(spike: Label) -> bool:
    return spike.end - spike.start - SPIKE_WINDOW_MS + SPIKE_FRAME_MS >= SPIKE_SUSTAINED_MS


def _at_least(limit_ms: int, stretches: Iterable[Spurt], doubt_ms: int) -> list[Label]:
    return [label for start, end in stretches for label in _verdict((start, end), end - start - limit_ms, doubt_ms)]


def _verdict(stretch: Spurt, beyond_ms: int, doubt_ms: int) -> list[Label]:
    """A label if the limit was reached by this many ms (0: just so), one that is not sure if that is in doubt."""
    if beyond_ms >= 0 or beyond_ms > -doubt_ms:
        return [Label(*stretch, sure=beyond_ms >= doubt_ms)]
    return []


def _touches(stretch: Spurt, others: Iterable[Spurt]) -> bool:
    return any(min(stretch[1], end) > max(stretch[0], start) for start, end in others)

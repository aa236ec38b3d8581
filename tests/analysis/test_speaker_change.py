"""Speaker change: who has the floor, and when it passes on; in mono, when another voice goes on."""

from itertools import accumulate

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis import Finding
from analysis.findings import State
from tests.analysis.voices import LOOK_AHEAD_MS, babble, bank_of, call, closed, hear, room, spans, to_samples


def test_the_floor_passes_to_who_has_spoken_alone_for_1_s_and_it_began_with_the_talkspurt() -> None:
    found = hear(call(9000, [(1000, 3000), (6500, 8500)], [(3500, 6000)]))
    assert spans(found, "speaker_change") == [("agent", 3500, 1000, "info"), ("caller", 6500, 1000, "info")]
    assert [event.detected_at for event in closed(found, "speaker_change")] == [
        4500 + LOOK_AHEAD_MS,
        7500 + LOOK_AHEAD_MS,
    ]
    assert [f.state for f in found if f.event.type == "speaker_change"] == [State.OPENED, State.CLOSED] * 2


def test_who_speaks_over_the_other_takes_the_floor_once_alone() -> None:
    found = hear(call(9000, [(1000, 4000)], [(3000, 7000)]))
    assert spans(found, "speaker_change") == [("agent", 3000, 2000, "info")]


@pytest.mark.parametrize("agent", [(4000, 4900), (1500, 3500)], ids=["too short", "never alone"])
def test_a_backchannel_takes_no_floor(agent: tuple[int, int]) -> None:
    assert spans(hear(call(9000, [(1000, 3600), (5500, 8000)], [agent])), "speaker_change") == []


def test_the_first_to_speak_takes_the_floor_from_nobody() -> None:
    assert spans(hear(call(6000, [(1000, 3000)], [])), "speaker_change") == []


DARK, BRIGHT = (0.0,), (0.9, -0.6)


def monologues(*parts: tuple[tuple[float, ...], int]) -> NDArray[np.int16]:
    """Voices, given as the filters that colour them, one after another for some time, ms, with 0.5 s between."""
    sound = [room(500, 1)]
    for number, (colour, ms) in enumerate(parts):
        spoken = babble(ms, number)
        sound += [np.convolve(spoken, (1.0, *colour))[: len(spoken)], room(500, 10 + number)]
    return to_samples(np.concatenate(sound))


def changes(samples: NDArray[np.int16]) -> list[tuple[str, int]]:
    found = closed(hear(samples, ("mixed",)), "speaker_change")
    return [(event.channel, event.timestamp) for event in found]


def test_in_mono_another_voice_after_a_pause_is_a_change() -> None:
    parts = [(DARK, 2500), (DARK, 2000), (BRIGHT, 2000), (BRIGHT, 2500), (DARK, 4000)]
    starts = [500, *(500 + end + 500 * n for n, end in enumerate(accumulate(ms for _, ms in parts), 1))]
    assert changes(monologues(*parts)) == [("mixed", starts[2]), ("mixed", starts[4])]


def test_one_voice_is_no_change_however_often_it_pauses_or_however_loud_it_becomes() -> None:
    samples = monologues(*[(BRIGHT, 2500)] * 5)
    samples[8 * 7000 :] //= 3
    assert changes(samples) == []


def test_less_than_2_s_of_another_voice_is_not_told_from_the_first() -> None:
    assert changes(monologues((DARK, 5000), (BRIGHT, 1500))) == []
    assert changes(monologues((DARK, 1500), (BRIGHT, 5000))) == []


def test_mono_changes_depend_neither_on_how_audio_was_cut_nor_on_who_else_calls() -> None:
    samples = monologues((DARK, 3000), (BRIGHT, 2500), (DARK, 4000))
    bank = bank_of("stereo")
    sizes = {"stereo": 1000, "whole": len(samples), "cut": 777}
    found: dict[str, list[Finding]] = {name: [] for name in sizes}
    for name in ("whole", "cut"):
        bank.open(name, channels=("mixed",))
    for number in range(len(samples) // min(sizes.values()) + 1):
        for name, size in sizes.items():
            piece = samples[number * size : (number + 1) * size]
            bank.push(name, np.repeat(piece, 2, axis=1) if name == "stereo" else piece)
        for name, finding in bank.tick():
            found[name].append(finding)
    expected = hear(samples, ("mixed",))
    assert [found[name] + bank.close(name) for name in ("whole", "cut")] == [expected, expected]

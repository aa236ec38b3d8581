"""The definitions by which calls are labelled, on cases small enough to be worked out by hand."""

import numpy as np

from benchmarks import definitions
from benchmarks.definitions import Label
from benchmarks.scoring import DOUBT_MS


def test_talkspurts_bridge_200_ms_and_drop_what_is_below_80_ms() -> None:
    active = np.zeros(100, bool)
    active[[*range(10, 20), *range(40, 45), *range(66, 73), *range(96, 100)]] = True
    assert definitions.talkspurts(active, 10) == [(100, 450)]
    active[73] = True
    assert definitions.talkspurts(active, 10) == [(100, 450), (660, 740)]


def test_a_length_within_50_ms_of_its_limit_is_in_doubt() -> None:
    lengths = (140, 150, 200, 250, 260)
    found = [definitions.overlaps([(0, 1000)], [(0, length)], DOUBT_MS) for length in lengths]
    assert found == [[], *([Label(0, length, sure=False)] for length in lengths[1:4]), [Label(0, 260)]]


def test_an_interruption_is_in_doubt_by_its_tightest_limit() -> None:
    assert definitions.interruptions([(0, 2000)], [(1000, 4000)], DOUBT_MS) == [Label(1000, 2000)]
    assert definitions.interruptions([(0, 2000)], [(140, 4000)], DOUBT_MS) == [Label(140, 2000, sure=False)]
    assert definitions.interruptions([(0, 2000)], [(1000, 2330)], DOUBT_MS) == [Label(1000, 2000, sure=False)]
    assert definitions.interruptions([(0, 2000)], [(1000, 2300)]) == []


def test_pauses_begin_after_the_first_speech_and_are_none_in_hold() -> None:
    speech = [(4000, 5000), (9000, 10_000), (20_000, 21_000)]
    assert definitions.long_pauses(speech, 22_000, hold=[(12_000, 18_000)]) == [Label(5000, 9000)]
    assert definitions.quiet_silences(speech, 22_000) == [Label(10_000, 20_000)]


def test_a_party_is_unheard_15_s_from_the_others_first_words_or_30_s_after_its_own() -> None:
    other = [(start, start + 4000) for start in range(2000, 50_000, 5000)]
    assert definitions.one_way_silences([], other, 52_000) == [Label(2000, 52_000)]
    assert definitions.one_way_silences([(0, 10_000)], other, 52_000) == [Label(10_000, 52_000)]
    assert definitions.one_way_silences([(0, 10_000), (35_000, 36_000)], other, 52_000) == []
    assert definitions.one_way_silences([], [(2000, 50_000)], 52_000) == [], "a monologue"


def test_the_floor_passes_on_only_after_a_second_alone() -> None:
    a, b = [(0, 3000), (8000, 12_000)], [(3200, 4000), (5000, 7000)]
    assert definitions.floor_changes(a, b) == [(1, Label(5000, 6000)), (0, Label(8000, 9000))]
    assert definitions.floor_changes(a, [(3200, 4230)], DOUBT_MS) == [
        (1, Label(3200, 4200, sure=False)),
        (0, Label(8000, 9000, sure=False)),
    ]


def test_spikes_stand_out_from_the_speech_before_them() -> None:
    power, active = np.ones(300), np.ones(300, bool)
    power[200:230] = 10**1.5
    (spike,) = definitions.volume_spikes(power, active, DOUBT_MS)
    assert spike == Label(3940, 4660), "two loud frames of five make a window loud"
    doubtful = [spike._replace(start=3920, end=4680, sure=False), spike._replace(sure=False)]
    assert definitions.volume_spikes(power, active, doubt_db=6.0) == doubtful, (
        "with its beginning at 4 dB, and at 10 dB"
    )
    power[200:230] = 1
    power[30:60] = 10**1.5
    assert definitions.volume_spikes(power, active) == [], "1.5 s of speech are needed"

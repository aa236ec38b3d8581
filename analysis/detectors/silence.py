"""Silence: a dead channel, music for who waits, a party that is not heard, or nobody speaking at all."""

from dataclasses import dataclass

import numpy as np

from analysis.detectors.lives import HIGH, LOW, Desk, Lives
from analysis.features import FRAMES_PER_S
from analysis.moment import Moment
from analysis.rows import CHANNELS, Bools, Ints, Rows, counts, either, flags, higher, some


@dataclass(frozen=True, slots=True)
class SilenceThresholds:
    """Lengths in frames of 20 ms."""

    digital_frames: int = 5 * FRAMES_PER_S
    digital_patience_frames: int = 15 * FRAMES_PER_S
    hold_frames: int = 5 * FRAMES_PER_S
    hold_certain_frames: int = 3 * FRAMES_PER_S
    other_talk_frames: int = 10 * FRAMES_PER_S
    other_talkspurts: int = 3
    never_heard_frames: int = 15 * FRAMES_PER_S
    no_longer_heard_frames: int = 30 * FRAMES_PER_S
    quiet_frames: int = 5 * FRAMES_PER_S


class Silence(Rows):
    """Finds four kinds of silence, the first that applies to a stretch:

    - `digital`: only zeros or no packets on a channel for 5 s, once it has carried sound, or 15 s after
      the other party's first speech.
    - `hold`: music for 5 s.
    - `one_way`: no speech on a channel while the other party spoke for 10 s in 3 talkspurts or more; for
      15 s since the other's first speech if it never spoke, else for 30 s since it did.
    - `quiet`: nobody active for 5 s. What may turn out to be music holds the decision back.

    The time that a digital silence or a hold took does not count for one_way, nor that of any for quiet, nor
    that of a channel in a wrong format for either: what is said on it is not known, and no music.
    Two channels that carry the same have no party that is not heard.
    """

    def __init__(self, desk: Desk, thresholds: SilenceThresholds) -> None:
        self._limits = thresholds
        self.digital = Lives(desk, "silence", CHANNELS, lambda row, place: {"kind": "digital"})
        self.hold = Lives(desk, "silence", CHANNELS, lambda row, place: {"kind": "hold"})
        self.one_way = Lives(desk, "silence", CHANNELS, lambda row, place: {"kind": "one_way"})
        self.quiet = Lives(desk, "silence", 1, lambda row, place: {"kind": "quiet"})
        self.carried = flags(CHANNELS)  # the channel has carried sound
        self.dead = counts(CHANNELS)  # frames of the present run of zeros and missing audio
        self.one_way_from = counts(CHANNELS)  # not before this can a one_way have begun
        self.other_talk = counts(CHANNELS)  # the other's talk and talkspurts when the stretch began
        self.other_number = counts(CHANNELS)
        self.quiet_from = counts(1)
        self.rows = (self, self.digital, self.hold, self.one_way, self.quiet)

    def step(self, now: Moment) -> None:
        """Judge one frame of every call."""
        sound = now.heard & ~now.frame.zero
        self.carried |= sound
        np.copyto(self.dead, np.where(sound, 0, self.dead + 1), where=now.stepping)
        self.digital.close(sound, now.end - 1)
        self._judge(now)

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over, and their silences with them."""
        self._judge(now)
        for lives in (self.digital, self.hold, self.one_way, self.quiet):
            lives.close(now.stepping, now.end)

    def _judge(self, now: Moment) -> None:
        self._judge_digital(now)
        self._judge_hold(now)
        self._judge_one_way(now)
        self._judge_quiet(now)

    def _judge_digital(self, now: Moment) -> None:
        long_enough = self.dead >= self._limits.digital_frames
        if not some(long_enough):
            return
        other_first = now.spurts.first[:, ::-1]
        patience_over = (other_first >= 0) & (now.end - other_first >= self._limits.digital_patience_frames)
        opens = now.stepping & now.present & ~self.digital.open & long_enough & (self.carried | patience_over)
        self.digital.begin(opens, now.end - self.dead, now.end, HIGH, now)

    def _judge_hold(self, now: Moment) -> None:
        music = now.music
        if not (some(music.on) or some(self.hold.open)):
            return
        self.hold.close(now.stepping & ~music.on, np.maximum(now.end - music.low, self.hold.onset))
        opens = now.stepping & music.on & ~self.hold.open & ~self.digital.open & ~now.misread
        opens &= now.heard & (now.end - music.known >= self._limits.hold_certain_frames)
        opens &= now.end - music.since >= self._limits.hold_frames
        self.hold.begin(opens, music.since, now.end, LOW, now)

    def _judge_one_way(self, now: Moment) -> None:
        spurts = now.spurts
        self.one_way.close(spurts.began, spurts.start)
        taken = self.digital.open | self.hold.open | now.one_source | now.misread
        self._restart_one_way(now, (spurts.confirmed & now.active) | spurts.began | taken, taken)
        spoken = spurts.number > 0
        onset = np.maximum(np.where(spoken, spurts.until, spurts.first[:, ::-1]), self.one_way_from)
        patience = np.where(spoken, self._limits.no_longer_heard_frames, self._limits.never_heard_frames)
        opens = (
            (now.stepping & now.two & ~spurts.running & ~self.one_way.open & ~taken)
            & (now.end - onset >= patience)
            & (spurts.talk[:, ::-1] - self.other_talk >= self._limits.other_talk_frames)
            & (spurts.number[:, ::-1] - self.other_number >= self._limits.other_talkspurts)
        )
        self.one_way.begin(opens, onset, now.end, HIGH, now)

    def _restart_one_way(self, now: Moment, where: Bools, taken: Bools) -> None:
        """The stretch without this channel's speech begins after the present frame, at the earliest."""
        where = where & now.stepping
        spurts = now.spurts
        np.copyto(self.one_way_from, now.end, where=where & taken)
        np.copyto(self.other_talk, spurts.talk[:, ::-1], where=where)
        before: Ints = spurts.number[:, ::-1] - spurts.confirmed[:, ::-1]  # what goes on counts
        np.copyto(self.other_number, before, where=where)

    def _judge_quiet(self, now: Moment) -> None:
        spurts = now.spurts
        resumed, speech_onset = spurts.resumed()
        self.quiet.close(now.stepping & resumed, speech_onset)
        if some(now.misread):
            self.quiet.close(now.stepping & either(now.misread), np.maximum(higher(now.misread_from), self.quiet.onset))
        taken = either(self.digital.open | self.hold.open | self.one_way.open | now.misread)
        np.copyto(self.quiet_from, now.end, where=now.stepping & taken)
        onset = np.maximum(higher(spurts.until), self.quiet_from)
        nobody = now.stepping & ~either(spurts.running)
        judged = nobody & ~either(now.music.possible)
        opens = judged & ~self.quiet.open & ~taken & (now.end - onset >= self._limits.quiet_frames)
        self.quiet.begin(opens, onset, now.end, LOW, now)

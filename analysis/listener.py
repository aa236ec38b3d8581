"""The ears of many calls in lock-step: look-ahead, voice activity, talkspurts and detectors, one frame a step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from analysis.detectors.background_noise import BackgroundNoise, BackgroundNoiseThresholds
from analysis.detectors.distortion import Distortion, DistortionThresholds
from analysis.detectors.dropouts import Dropouts, DropoutThresholds
from analysis.detectors.echo import EchoAnomaly, EchoGrades
from analysis.detectors.excessive_silence import ExcessiveSilence, ExcessiveSilenceThresholds
from analysis.detectors.interrupt import Interrupt, InterruptThresholds
from analysis.detectors.lives import Desk
from analysis.detectors.overlap import Overlap, OverlapThresholds
from analysis.detectors.pause import LongPause, PauseThresholds
from analysis.detectors.silence import Silence, SilenceThresholds
from analysis.detectors.speaker_change import FloorChange, SpeakerChangeThresholds
from analysis.detectors.spike import SpikeThresholds, VolumeSpike
from analysis.detectors.voice_change import VoiceChange, VoiceChangeThresholds
from analysis.detectors.volume_inconsistency import VolumeInconsistency, VolumeInconsistencyThresholds
from analysis.detectors.wrong_format import WrongFormat, WrongFormatThresholds
from analysis.echo import Echo, EchoThresholds
from analysis.features import FRAMES_PER_S, Features
from analysis.findings import Finding
from analysis.levels import Levels
from analysis.lookahead import LOOK_AHEAD_FRAMES, LookAhead
from analysis.misreading import Misreading
from analysis.moment import Moment, Passage
from analysis.music import Music, MusicHeard, MusicThresholds
from analysis.one_source import OneSource, OneSourceThresholds
from analysis.rows import CHANNELS, Bools, Ints, Rows, counts, ever, flags
from analysis.sound import SoundQuality
from analysis.talkspurts import Runs, Talkspurts, TalkspurtThresholds
from analysis.tones import Tones, ToneThresholds
from analysis.vad import Probabilities, VadThresholds, VoiceActivity


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Everything that decides what is heard, with the defaults of docs/hearing.md."""

    vad: VadThresholds = field(default_factory=VadThresholds)
    tone: ToneThresholds = field(default_factory=ToneThresholds)
    music: MusicThresholds = field(default_factory=MusicThresholds)
    one_source: OneSourceThresholds = field(default_factory=OneSourceThresholds)
    echo: EchoThresholds = field(default_factory=EchoThresholds)
    echo_grades: EchoGrades = field(default_factory=EchoGrades)
    talkspurt: TalkspurtThresholds = field(default_factory=TalkspurtThresholds)
    overlap: OverlapThresholds = field(default_factory=OverlapThresholds)
    interrupt: InterruptThresholds = field(default_factory=InterruptThresholds)
    pause: PauseThresholds = field(default_factory=PauseThresholds)
    silence: SilenceThresholds = field(default_factory=SilenceThresholds)
    spike: SpikeThresholds = field(default_factory=SpikeThresholds)
    speaker_change: SpeakerChangeThresholds = field(default_factory=SpeakerChangeThresholds)
    voice_change: VoiceChangeThresholds = field(default_factory=VoiceChangeThresholds)
    wrong_format: WrongFormatThresholds = field(default_factory=WrongFormatThresholds)
    background_noise: BackgroundNoiseThresholds = field(default_factory=BackgroundNoiseThresholds)
    distortion: DistortionThresholds = field(default_factory=DistortionThresholds)
    dropouts: DropoutThresholds = field(default_factory=DropoutThresholds)
    excessive_silence: ExcessiveSilenceThresholds = field(default_factory=ExcessiveSilenceThresholds)
    volume_inconsistency: VolumeInconsistencyThresholds = field(default_factory=VolumeInconsistencyThresholds)


class Detector(Protocol):
    """One thing that is heard."""

    @property
    def rows(self) -> Sequence[Rows]:
        """All of its state."""

    def finish(self, now: Moment) -> None:
        """The calls of `now` are over; close what is open."""


@runtime_checkable
class FrameDetector(Detector, Protocol):
    """One that follows what happens step by step."""

    def step(self, now: Moment) -> None:
        """Judge one frame of every call, hand in what was found."""


@runtime_checkable
class PassDetector(Detector, Protocol):
    """One that needs no other's findings, and so hears all frames of a pass at once."""

    def hear(self, passage: Passage) -> None:
        """Judge the next frames of every call, hand in what was found."""


class Listener(Rows):
    """Hears frames of many calls, a row each; knows nothing of audio, bytes or call ids."""

    def __init__(self, thresholds: Thresholds, vad: VoiceActivity, observers: Sequence[FrameDetector]) -> None:
        self.end = counts(1)  # frames judged so far
        self.present = flags(CHANNELS)
        self._ahead = LookAhead()
        self._vad = vad
        self._tones = Tones(thresholds.tone)
        self._music = Music(thresholds.music)
        self._one_source = OneSource(thresholds.one_source)
        self._echo = Echo(thresholds.echo)
        self._spurts = Talkspurts(thresholds.talkspurt)
        self._levels = Levels()
        self._desk = Desk()
        self._wrong_format = WrongFormat(self._desk, thresholds.wrong_format)
        self.sound = SoundQuality(self._levels)
        self._detectors: tuple[Detector, ...] = (
            Overlap(self._desk, thresholds.overlap),
            Interrupt(self._desk, thresholds.interrupt, thresholds.overlap),
            LongPause(self._desk, thresholds.pause),
            Silence(self._desk, thresholds.silence),
            VolumeSpike(self._desk, thresholds.spike),
            FloorChange(self._desk, thresholds.speaker_change),
            VoiceChange(self._desk, thresholds.voice_change),
            EchoAnomaly(self._desk, thresholds.echo_grades),
            BackgroundNoise(self._desk, thresholds.background_noise, self._levels),
            Distortion(self._desk, thresholds.distortion),
            Dropouts(self._desk, thresholds.dropouts, self._levels),
            ExcessiveSilence(self._desk, thresholds.excessive_silence),
            VolumeInconsistency(self._desk, thresholds.volume_inconsistency, self._levels),
            self.sound,
            *observers,
        )
        placed = list(enumerate(self._detectors, 1))
        self._by_frame = [(place, each) for place, each in placed if isinstance(each, FrameDetector)]
        self._by_pass = [(place, each) for place, each in placed if isinstance(each, PassDetector)]
        parts = [rows for detector in (self._wrong_format, *self._detectors) for rows in detector.rows]
        gates = (self._tones, self._music, self._one_source, self._echo)
        self._parts: list[Rows] = [self._ahead, *self._vad.rows, *gates, self._spurts, self._levels, *parts]

    def resize(self, rows: int) -> None:
        super().resize(rows)
        for part in self._parts:
            part.resize(rows)

    def begin(self, row: int, names: tuple[str, ...]) -> None:
        """A call begins in this row."""
        self.restart(row)
        for part in self._parts:
            part.restart(row)
        self.present[row, : len(names)] = True
        self._desk.names[row] = names

    def hear(self, frames: Features, heard: Bools, lengths: Ints) -> list[tuple[int, Finding]]:
        """Hear the next frames of all rows: features and `heard` (steps, rows, channels), `lengths` (rows,)
        of them each. Returns what was found, by row."""
        probability, tonal = self._probability(frames, heard, lengths)
        frames, heard = self._ahead.delay(frames, heard, lengths)
        arrived = np.arange(len(heard))[:, None, None] < lengths[:, None]
        known = self._ahead.known + np.cumsum(arrived, axis=0)
        self._hear(frames, heard, probability, tonal, arrived & (known > LOOK_AHEAD_FRAMES), known, lengths)
        return self._desk.collect()

    def finish(self, row: int) -> list[tuple[int, Finding]]:
        """The call of this row is over: judge its last frames, end its talkspurts, close its events."""
        leaving = np.zeros_like(self.end, dtype=np.bool_)
        leaving[row] = True
        nobody = np.zeros((LOOK_AHEAD_FRAMES, *self.present.shape), dtype=np.bool_)
        nothing = Features.of_nothing(nobody.shape)
        lengths = leaving[:, 0] * LOOK_AHEAD_FRAMES
        probability, tonal = self._probability(nothing, nobody, lengths)
        frames, heard = self._ahead.delay(nothing, nobody, lengths)
        steps = np.arange(LOOK_AHEAD_FRAMES)[:, None, None]
        begun = self._ahead.known - self.end + steps >= LOOK_AHEAD_FRAMES
        known = np.repeat(self._ahead.known[None], LOOK_AHEAD_FRAMES, axis=0)
        self._hear(frames, heard, probability, tonal, leaving & begun, known, lengths)
        found = self._desk.collect()
        self._spurts.finish(leaving)
        silent = np.zeros(self.present.shape, dtype=np.float32)
        now = self._moment(leaving, nobody[0], silent, nobody[0], nothing.at(0), self._music.now)
        self._desk.end = now.end
        for place, detector in enumerate((self._wrong_format, *self._detectors)):
            self._desk.place = place
            detector.finish(now)
        return found + self._desk.collect()

    def talk_frames(self, row: int) -> tuple[int, ...]:
        """Frames of talkspurts of each channel so far."""
        talk: list[int] = self._spurts.talk[row].tolist()
        return tuple(talk[: len(self._desk.names[row])])

    def _probability(self, frames: Features, heard: Bools, lengths: Ints) -> tuple[Probabilities, Bools]:
        """How probable speech is in the frames LOOK_AHEAD_FRAMES before those that come, and which are tones, thus
        none."""
        tonal = self._tones.judge(frames, heard, lengths)
        return np.where(tonal, np.float32(0.0), self._vad.judge(frames, heard, lengths)), tonal

    def _hear(
        self,
        frames: Features,
        heard: Bools,
        probability: Probabilities,
        tonal: Bools,
        stepping: Bools,
        known: Ints,
        lengths: Ints,
    ) -> None:
        """Judge frames of the rows that are `stepping` (steps, rows, 1) one after the other, then look back at them."""
        if not len(heard):
            return
        heard = heard & stepping
        self._echo.take(frames, heard, lengths)
        music = self._music.hear(frames, heard, self.end + np.cumsum(stepping, axis=0), stepping)
        moments, spurts = [], []
        for step in range(len(heard)):
            self._ahead.known = known[step]
            now = self._step(step, frames.at(step), heard[step], probability[step], music.at(step), stepping[step])
            moments.append(now)
            spurts.append(self._spurts.runs)
        self._echo.keep(lengths)
        passage = _passage(moments, Runs.of_steps(spurts), music, frames, tonal, lengths)
        self._levels.hear(passage)
        for place, detector in self._by_pass:
            self._desk.place = place
            detector.hear(passage)

    def _step(
        self,
        step: int,
        frame: Features,
        heard: Bools,
        probability: Probabilities,
        music: MusicHeard,
        stepping: Bools,
    ) -> Moment:
        """Judge one frame of the rows that are `stepping` (rows, 1)."""
        self._desk.end = self.end = self.end + stepping
        readable = (frame.waveform["misread"] == Misreading.NONE) & ~self._wrong_format.open
        active = self._vad.decide(probability, frame, heard) & readable & ~music.on
        active = self._clean(step, frame, heard, active, stepping)
        self._spurts.step(active, self.end, stepping)
        now = self._moment(stepping, heard, probability, active, frame, music)
        self._desk.place = 0
        self._wrong_format.step(now)
        misread = self._wrong_format.open  # it is known now for this frame, too
        now = replace(now, usable=heard & readable & ~misread, misread=misread)
        for place, detector in self._by_frame:
            self._desk.place = place
            detector.step(now)
        return now

    def _clean(self, step: int, frame: Features, heard: Bools, active: Bools, stepping: Bools) -> Bools:
        """What of `active` is speech of the channel's own party: no copy, no echo of the other channel."""
        copies = self._one_source.step(frame, heard, active)
        own = self._echo.step(step, active & ~self._one_source.one, self.end, stepping)
        return np.where(self._one_source.one, active & ~copies, own)

    def _moment(
        self,
        stepping: Bools,
        heard: Bools,
        probability: Probabilities,
        active: Bools,
        frame: Features,
        music: MusicHeard,
    ) -> Moment:
        return Moment(
            stepping=stepping,
            end=self.end,
            known=self._ahead.known,
            heard=heard,
            usable=heard,
            misread=self._wrong_format.open,
            misread_from=self._wrong_format.since,
            present=self.present,
            two=self.present[:, 1:],
            probability=probability,
            active=active,
            frame=frame,
            spurts=self._spurts,
            music=music,
            echo=self._echo,
            one_source=self._one_source.one,
            seconds=np.flatnonzero(stepping & (self.end % FRAMES_PER_S == 0)),
        )


def _passage(
    nows: Sequence[Moment], spurts: Runs, music: MusicHeard, frames: Features, tonal: Bools, lengths: Ints
) -> Passage:
    """What is known of steps that are over."""
    names = ("stepping", "end", "known", "heard", "usable", "active")
    line: dict[str, NDArray[Any]] = {name: np.stack([getattr(now, name) for now in nows]) for name in names}
    ends = line["stepping"] & (line["end"] % FRAMES_PER_S == 0)
    second = replace(nows[-1], seconds=np.flatnonzero(ever(ends)))
    if second.seconds.size:
        last = ends.argmax(axis=0)[None]  # of each row its own step
        second = replace(second, **{name: np.take_along_axis(line[name], last, axis=0)[0] for name in names})
    return Passage(
        lengths=lengths,
        music=music,
        spurts=spurts,
        frame=frames,
        tonal=tonal,
        present=nows[0].present,
        two=nows[0].two,
        second=second,
        ends=ends,
        ending=np.cumsum(ends, axis=0) - ends == 0,
        moments=nows,
        **line,
    )

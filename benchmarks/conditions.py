"""The conditions in which the engine is tried: makers of labelled calls, of voices and noises unseen in training."""

from collections.abc import Mapping

import numpy as np

from analysis.audio import Encoding
from benchmarks.calls import (
    HOPS_PER_S,
    IN_TURN,
    POLITE,
    SLOW,
    SPEECH_DBOV,
    Damage,
    LabelledCall,
    Manner,
    Noise,
    Speaker,
    converse,
    mixed,
    render,
)
from benchmarks.impairments import Echo, Fill, Loss, Misreading, Sound, Step, gain, level_dbov
from training.material import music, voices
from training.noises import noises, signals

CALL_S = 120
SNR_DB = (20, 10, 5, 0)
ERL_DB = (10, 14, 18, 22, 26, 30)
RATE_HZ = 8000
AGENT = 1
OTHER_SOUND_FROM_S, OTHER_SOUND_S = 31, 50
"""Where music or tones are, in the calls that have them."""


class Studio:
    """Who talks and what disturbs them: the voices, noises and music that training has not seen."""

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        self.rate_hz = rate_hz
        self.speakers = [Speaker(voice.clips(rate_hz), rate_hz) for voice in voices("test")]
        self.speakers = [speaker for speaker in self.speakers if speaker.seconds >= 10]
        self.noises: Mapping[str, Noise] = noises("test")
        self.music = music("test", rate_hz)

    def talk(
        self,
        random: np.random.Generator,
        damage: Damage | None = None,
        manner: Manner | None = None,
    ) -> LabelledCall:
        """A call of any two of them."""
        lines = converse(self.two(random), CALL_S, random, manner)
        return render(lines, CALL_S, self.rate_hz, random, damage)

    def two(self, random: np.random.Generator) -> list[Speaker]:
        """Two different speakers."""
        return [self.speakers[n] for n in random.choice(len(self.speakers), 2, replace=False)]

    def hold_music(self, seconds: int, random: np.random.Generator) -> Sound:
        """Some of a piece, which goes round."""
        piece = self.music[int(random.integers(len(self.music)))]
        start = int(random.integers(len(piece)))
        return np.take(piece, np.arange(start, start + seconds * self.rate_hz), mode="wrap").astype(np.float64)

    def any_noise(self, random: np.random.Generator) -> Noise:
        """One of the noises; music is none, as who plays it wants it heard."""
        return self.noises[str(random.choice([name for name in self.noises if name != "music"]))]


def noisy(studio: Studio, random: np.random.Generator, snr_db: float) -> LabelledCall:
    """A call in noise."""
    return studio.talk(random, Damage(noise=studio.any_noise(random), snr_db=snr_db))


def echoing(studio: Studio, random: np.random.Generator, erl_db: float) -> LabelledCall:
    """A call in which one party's sound comes back on the other's channel."""
    echo = Echo(channel=int(random.integers(2)), delay_ms=int(random.integers(20, 400)), erl_db=erl_db)
    return studio.talk(random, Damage(echo=echo))


def losing(studio: Studio, random: np.random.Generator, fill: Fill) -> LabelledCall:
    """A call that loses 2 % of its packets."""
    return studio.talk(random, Damage(loss=Loss(0.02, 1.5, fill)), manner=POLITE)


def clipped(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call that is overdriven by 6 to 12 dB."""
    return studio.talk(random, Damage(clipped=(0, 1), clipped_db=float(random.uniform(6, 12))), manner=POLITE)


def on_hold(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call with music in it."""
    return _instead_of_speech(studio.hold_music(OTHER_SOUND_S, random), studio, random)


def with_tones(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call with a telephone's own tones in it."""
    return _instead_of_speech(signals(OTHER_SOUND_S * studio.rate_hz, random), studio, random)


def _instead_of_speech(sound: Sound, studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call whose agent is replaced by a sound for a while, in which the caller waits."""
    sound = sound * gain(SPEECH_DBOV - level_dbov(sound))
    lines = converse(studio.two(random), CALL_S, random, POLITE)
    start, end = OTHER_SOUND_FROM_S * HOPS_PER_S, (OTHER_SOUND_FROM_S + OTHER_SOUND_S) * HOPS_PER_S
    lines = [line for line in lines if line.end < start - HOPS_PER_S or line.start > end + HOPS_PER_S]
    return render(lines, CALL_S, studio.rate_hz, random, Damage(other=((AGENT, start, sound),)))


def polite(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call in which nothing is wrong."""
    return studio.talk(random, manner=POLITE)


def nearly_noisy(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call in noise on either side of what is called noisy."""
    snr_db = float(random.uniform(14, 26))
    return studio.talk(random, Damage(noise=studio.any_noise(random), snr_db=snr_db), manner=POLITE)


def stepped(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call one party of which is quieter, always or from the middle on, by more or less than what is called
    inconsistent."""
    since_s = float(random.choice([0, CALL_S / 2]))
    step = Step(channel=int(random.integers(2)), at_s=since_s, db=-float(random.uniform(5, 18)))
    return studio.talk(random, Damage(step=step), manner=POLITE)


def slow(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call in which hardly anybody talks."""
    return studio.talk(random, manner=SLOW)


def misread(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call one channel of which is read in another format than it was written in."""
    misreading = Misreading(int(random.integers(2)), list(Encoding)[int(random.integers(len(Encoding)))])
    return studio.talk(random, Damage(misread=misreading), manner=POLITE)


def one_sided(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call one party of which is not heard, from the beginning or from half a minute on."""
    lines = converse(studio.two(random), CALL_S, random, POLITE)
    unheard, since = int(random.integers(2)), int(random.choice([0, 30])) * HOPS_PER_S
    heard = [line for line in lines if line.channel != unheard or line.end < since]
    dead = ((unheard, since + HOPS_PER_S, CALL_S * HOPS_PER_S),) if random.random() < 0.5 else ()
    return render(heard, CALL_S, studio.rate_hz, random, Damage(dead=dead))


def in_mono(studio: Studio, random: np.random.Generator) -> LabelledCall:
    """A call mixed into one channel, its parties taking turns."""
    return mixed(converse(studio.two(random), CALL_S, random, IN_TURN), CALL_S, studio.rate_hz, random)

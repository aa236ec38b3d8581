"""What can be checked without a call: levels and ratings against published results, moods against labelled phrases."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from analysis.active_level import ActiveLevel
from analysis.emodel import Line, codec_named, mos, rating, rating_of
from analysis.sentiment import sentiment_of
from benchmarks.figures import Row
from training.sentiment import SURE, phrases

PHRASES = Path(__file__).parent / "phrases.tsv"
SOUNDS = Path("/usr/share/asterisk/sounds")
LEVELS_DBOV = {  # of files of Debian's asterisk-core-sounds, by the ITU's own program (STL, actlev)
    "en_US_f_Allison/vm-intro.wav": -18.646,
    "en_US_f_Allison/conf-adminmenu.wav": -17.646,
    "fr_CA_f_June/vm-intro.wav": -23.540,
}
DEFAULT_R, DEFAULT_MOS = 93.2062, 4.4094  # ITU-T G.107
RATINGS = {4.34: 90.0, 4.02: 80.0, 3.60: 70.0, 3.10: 60.0, 2.58: 50.0}  # G.107, table B.1
LOSSES_PCT = (0, 1, 3, 5, 10)
SCORES_UNDER_LOSS = {  # by G.113's impairments
    "PCMU": (4.41, 4.33, 4.13, 3.92, 3.41),
    "G.729": (4.10, 3.95, 3.63, 3.34, 2.75),
    "GSM-EFR": (4.29, 4.02, 3.47, 3.01, 2.22),
}


def level_rows() -> Iterator[Row]:
    """Active speech levels, P.56: the greatest distance from the ITU's results, dB."""
    off_db = [abs(_level_dbov(SOUNDS / name) - wanted) for name, wanted in LEVELS_DBOV.items() if _is_there(name)]
    yield Row("active speech level (P.56), most dB off", max(off_db, default=None), most=0.1, of=len(off_db))


def _is_there(name: str) -> bool:
    return (SOUNDS / name).exists()


def _level_dbov(path: Path) -> float:
    rate_hz, samples = wavfile.read(path)
    meter = ActiveLevel(rate_hz)
    meter.push(samples)
    level_dbov = meter.level_dbov()
    return float("nan") if level_dbov is None else level_dbov


def rating_rows() -> Iterator[Row]:
    """The E-model: distances from what G.107 and G.113 print, in as many digits as they print."""
    yield Row("E-model, default line, R off", abs(rating(Line()) - DEFAULT_R), most=0.001)
    off = [abs(rating_of(mos(r)) - r) for r in RATINGS.values()]
    yield Row("E-model, from R to MOS and back, most R off", max(off), most=0.001, of=len(off))
    off = [abs(mos(r) - score) for score, r in RATINGS.items()] + [abs(mos(DEFAULT_R) - DEFAULT_MOS)]
    yield Row("E-model, MOS of ratings, most off two digits", max(off), most=0.005, of=len(off))
    off = [
        abs(_score_under_loss(name, loss_pct) - score)
        for name, scores in SCORES_UNDER_LOSS.items()
        for loss_pct, score in zip(LOSSES_PCT, scores, strict=True)
    ]
    yield Row("E-model, MOS of codecs under loss, most off two digits", max(off), most=0.005, of=len(off))


def _score_under_loss(name: str, loss_pct: float) -> float:
    codec = codec_named(name)
    if codec is None:
        raise LookupError(f"nothing is known of the codec {name}")
    return mos(rating(Line(ie=codec.ie, bpl=codec.bpl, ppl=loss_pct)))


def mood_rows() -> Iterator[Row]:
    """Phrases of callers, kept apart from lexicon and training."""
    judged = [(mood, sentiment_of(text)) for mood, text in phrases(PHRASES)]
    right = np.array([found.sentiment == mood for mood, found in judged])
    sure = np.array([found.confidence > SURE for _, found in judged])
    yield Row("moods of phrases that are right", float(right.mean()), least=0.85, of=len(judged))
    yield Row(f"those of a confidence above {SURE}", float(right[sure].mean()), least=0.85, of=int(sure.sum()))

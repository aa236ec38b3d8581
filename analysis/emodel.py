"""The E-model, ITU-T G.107: from what is known of a line and its losses to the rating R and the mean opinion score."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

BEST_MOS = 4.5
WORST_MOS = 1.0


@dataclass(frozen=True, slots=True)
class Codec:
    """What a codec costs. `ie`: its equipment impairment factor; `bpl`: its robustness to packet loss."""

    ie: float
    bpl: float = 4.3  # G.107's default, for codecs that no robustness is published for: none at all


G711 = Codec(0.0, 4.3)
G711_CONCEALED = Codec(0.0, 25.1)

CODECS: Mapping[str, Codec] = {
    # ITU-T G.113 (11/2007), Appendix I: Ie and Bpl under random packet loss
    "pcmu": G711_CONCEALED,
    "pcma": G711_CONCEALED,
    "g711": G711_CONCEALED,
    "g711-noplc": G711,
    "g729": Codec(11.0, 19.0),  # the table's value is for annexes A and B together, in use everywhere
    "g7231": Codec(15.0, 16.1),  # at 6.3 kbit/s
    "g723": Codec(15.0, 16.1),
    "gsmefr": Codec(5.0, 10.0),
    # the same appendix gives these an Ie only, so that they count as having no concealment
    "gsm": Codec(20.0),
    "gsmhr": Codec(23.0),
    "g726": Codec(7.0),  # at 32 kbit/s
    "g72640": Codec(2.0),
    "g72632": Codec(7.0),
    "g72624": Codec(25.0),
    "g72616": Codec(50.0),
    "g728": Codec(7.0),
}
"""By the name in SDP or in a vendor's statistics, in small letters and digits only (`codec_named`)."""


def codec_named(name: str) -> Codec | None:
    """The codec of a name such as `PCMU`, `G.729` or `audio/GSM-EFR`; None if nothing is published for it."""
    plain = "".join(letter for letter in name.lower().removeprefix("audio/") if letter.isalnum() or letter == "-")
    return CODECS.get(plain) or CODECS.get(plain.replace("-", ""))


@dataclass(frozen=True, slots=True)
class Line:
    """The parameters of G.107, table 2, with its defaults: loudness and losses in dB, noise in dBm0p, times in ms.

    Attributes:
        slr, rlr, stmr: loudness ratings of sending, receiving and sidetone.
        ds, dr: D-values of the telephones at the sending and receiving side.
        telr, wepl: echo losses, of the talker's and of the listener's.
        t, tr, ta: mean one-way delay of the echo path, round trip in the four-wire loop, absolute delay.
        qdu: quantising distortion units.
        nc, nfor: circuit noise, noise floor at the receiving side (dBmp).
        ps, pr: room noise at the sending and receiving side, dB(A).
        ie, bpl: of the codec. ppl: packets lost, 0..100 %. burst_r: how much burstier than at random, 1 or more.
        a: advantage of access.
    """

    slr: float = 8.0
    rlr: float = 2.0
    stmr: float = 15.0
    ds: float = 3.0
    dr: float = 3.0
    telr: float = 65.0
    wepl: float = 110.0
    t: float = 0.0
    tr: float = 0.0
    ta: float = 0.0
    qdu: float = 1.0
    nc: float = -70.0
    nfor: float = -64.0
    ps: float = 35.0
    pr: float = 35.0
    ie: float = 0.0
    bpl: float = 4.3
    ppl: float = 0.0
    burst_r: float = 1.0
    a: float = 0.0


def rating(line: Line) -> float:
    """The transmission rating R of a line, G.107 (7-1); 0 and below: as bad as can be, above 100: perfect."""
    no = _noise(line)
    ro = 15 - 1.5 * (line.slr + no)
    return ro - _simultaneous(line, ro, no) - _delayed(line, ro, no) - effective_ie(line) + line.a


def effective_ie(line: Line) -> float:
    """Ie,eff: the codec's impairment under packet loss, G.107 (7-29)."""
    if line.ppl <= 0:
        return line.ie
    return line.ie + (95 - line.ie) * line.ppl / (line.ppl / line.burst_r + line.bpl)


def burst_ratio(lost: int, bursts: int, loss_share: float) -> float:
    """BurstR: mean length of the bursts seen, over that at random loss; 1 at least, 1 if nothing was lost.

    `lost` packets in so many runs of consecutive losses, being `loss_share` (0..1) of all.
    """
    if lost <= 0 or bursts <= 0:
        return 1.0
    return max(1.0, lost / bursts * (1 - loss_share))


def mos(r: float) -> float:
    """Mean opinion score of a rating, 1..4.5, G.107 (B-4); ratings beyond 0..100 count as those."""
    if r <= 0:
        return WORST_MOS
    if r >= 100:
        return BEST_MOS
    return max(WORST_MOS, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def rating_of(score: float) -> float:
    """The rating 6.5..100 whose mean opinion score this is: the inverse of `mos`, G.107 appendix I.

    Raises:
        ValueError: a score outside 1..4.5.
    """
    if not WORST_MOS <= score <= BEST_MOS:
        raise ValueError(f"a mean opinion score of {score}: it lies within {WORST_MOS} and {BEST_MOS}")
    root = -903522 + 1113960 * score - 202500 * score**2
    h = math.atan2(15 * math.sqrt(max(0.0, root)), 18566 - 6750 * score) / 3
    return 20 / 3 * (8 - math.sqrt(226) * math.cos(h + math.pi / 3))


def _power_sum(*levels_db: float) -> float:
    return 10 * math.log10(sum(math.pow(10, level / 10) for level in levels_db))


def _bend(x: float, order: int) -> float:
    """G.107's soft step: 1 for a small `x`, |x| for a large one."""
    return math.pow(1 + math.pow(x, order), 1 / order)


def _noise(line: Line) -> float:
    """No: all noise, as if at the 0 dBr point, dBm0p; G.107 (7-3) to (7-7)."""
    olr = line.slr + line.rlr
    nos = line.ps - line.slr - line.ds - 100 + 0.004 * (line.ps - olr - line.ds - 14) ** 2
    lstr = line.stmr + line.dr
    pre = line.pr + 10 * math.log10(1 + 10 ** ((10 - lstr) / 10))
    nor = line.rlr - 121 + pre + 0.008 * (pre - 35) ** 2
    return _power_sum(line.nc, nos, nor, line.nfor + line.rlr)


def _simultaneous(line: Line, ro: float, no: float) -> float:
    """Is: what is spoilt together with the voice, by loudness, sidetone and quantisation; G.107 (7-8) to (7-17)."""
    x = line.slr + line.rlr + 0.2 * (64 + no - line.rlr)
    iolr = 20 * (_bend(x / 8, 8) - x / 8)
    g = 37 - 15 * math.log10(line.qdu)
    g = 1.07 + 0.258 * g + 0.0602 * g**2
    coarse = math.pow(10, (ro - 100) / 15 + 46 / 8.4 - g / 9) + math.pow(10, 46 / 30 - g / 40)
    iq = 15 * math.log10(1 + coarse)
    return iolr + _sidetone(line) + iq


def _sidetone(line: Line) -> float:
    """Ist: a sidetone that is not at its best."""
    echo = math.exp(-line.t / 4) * math.pow(10, -line.telr / 10)
    stmr = -10 * math.log10(math.pow(10, -line.stmr / 10) + echo)
    return 12 * _bend((stmr - 13) / 6, 8) - 28 * _bend((stmr + 1) / 19.4, 35) - 13 * _bend((stmr - 3) / 33, 13) + 29


def _delayed(line: Line, ro: float, no: float) -> float:
    """Id: what comes late, echoes of talker and listener and absolute delay; G.107 (7-18) to (7-28)."""
    return _talker_echo(line, no) + _listener_echo(line, ro) + _absolute_delay(line.ta)


def _talker_echo(line: Line, no: float) -> float:
    roe = -1.5 * (no - line.rlr)
    terv = line.telr - 40 * math.log10((1 + line.t / 10) / (1 + line.t / 150)) + 6 * math.exp(-0.3 * line.t**2)
    if line.stmr < 9:
        terv += _sidetone(line) / 2
    re = 80 + 2.5 * (terv - 14)
    idte = ((roe - re) / 2 + math.sqrt((roe - re) ** 2 / 4 + 100) - 1) * (1 - math.exp(-line.t))
    return math.hypot(idte, _sidetone(line)) if line.stmr > 20 else idte


def _listener_echo(line: Line, ro: float) -> float:
    rle = 10.5 * (line.wepl + 7) / math.pow(line.tr + 1, 0.25)
    return (ro - rle) / 2 + math.sqrt((ro - rle) ** 2 / 4 + 169)


def _absolute_delay(ta: float) -> float:
    if ta <= 100:
        return 0.0
    x = math.log2(ta / 100)
    return 25 * (_bend(x, 6) - 3 * _bend(x / 3, 6) + 2)

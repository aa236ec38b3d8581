"""A call in tables, for people at a terminal."""

from collections.abc import Mapping, Sequence

from analysis.active_level import ActiveLevel
from analysis.bank import CallStats
from analysis.findings import Heard
from analysis.summary import clock, share, what


def describe(stats: CallStats, levels: Mapping[str, ActiveLevel], found: Sequence[Heard]) -> str:
    """Tables of who spoke how long and how loud, and of all that was found, in the order of its beginning."""
    lines = [_party(name, ms, stats.heard_ms, levels[name]) for name, ms in stats.talk_ms.items()]
    if found:
        lines += ["", f"{'from':>10} {'for':>10}  {'channel':<10} {'severity':<9} what"]
        lines += [_line(heard) for heard in sorted(found, key=lambda heard: heard.timestamp)]
    return "\n".join(lines) + "\n"


def _party(name: str, talk_ms: int, heard_ms: int, meter: ActiveLevel) -> str:
    level = meter.level_dbov()
    loudness = "nothing to be heard" if level is None else f"{level:.1f} dBov active speech level"
    return f"{name:<10} {clock(talk_ms):>10}  {share(talk_ms, heard_ms):>5}  {loudness}"


def _line(heard: Heard) -> str:
    times = f"{clock(heard.timestamp):>10} {clock(heard.duration):>10}"
    return f"{times}  {heard.channel:<10} {heard.severity:<9} {what(heard)}"

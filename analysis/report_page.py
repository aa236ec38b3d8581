"""A call as one self-contained page: its summary, a timeline to zoom into, and tables. Needs no network to be read."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.features import FRAME_MS
from analysis.findings import Anomaly, Heard
from analysis.offline import Listening
from analysis.summary import clock, seconds, share, what

_PAGE = Path(__file__).parent / "page"


def page(listening: Listening) -> str:
    """The page as HTML. Its policy allows our own script and style by their hashes, and nothing else."""
    style = _part("page.css")
    script = _part("timeline.js").replace("export ", "") + _part("page.js")
    found = sorted(listening.found, key=lambda heard: heard.timestamp)
    return Template(_part("page.html")).substitute(
        title=html.escape(listening.recording.path.name),
        summary=html.escape(listening.summary.text(listening.stats)),
        parties="".join(_party(listening, name) for name in listening.names),
        found="".join(map(_row, found)) or '<tr><td colspan="5">Nothing remarkable was heard.</td></tr>',
        call=json.dumps(_data(listening, found)).replace("<", "\\u003c"),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _part(name: str) -> str:
    return (_PAGE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(listening: Listening, found: Sequence[Heard]) -> dict[str, Any]:
    """What the timeline draws; a level is one byte of base64, dBov + 128."""
    assert listening.log is not None, "a page needs every frame"
    levels, speech = (np.round(listening.log.level_dbov()) + 128).astype(np.uint8), listening.log.speech()
    return {
        "durationMs": listening.stats.heard_ms,
        "frameMs": FRAME_MS,
        "channels": [
            {
                "name": name,
                "levels": base64.b64encode(levels[place].tobytes()).decode(),
                "speech": _stretches(speech[place]),
            }
            for place, name in enumerate(listening.names)
        ],
        "found": [_mark(heard) for heard in found],
        "scores": [
            {"timestamp": result.timestamp, "mosScore": result.quality.mos_score}
            for result in listening.results
            if result.quality
        ],
    }


def _stretches(speech: NDArray[np.bool_]) -> list[list[int]]:
    """Where somebody speaks: [from, to), ms."""
    edges = np.flatnonzero(np.diff(speech.astype(np.int8), prepend=0, append=0))
    stretches: list[list[int]] = (edges.reshape(-1, 2) * FRAME_MS).tolist()
    return stretches


def _mark(heard: Heard) -> dict[str, Any]:
    return {
        "channel": heard.channel,
        "timestamp": heard.timestamp,
        "duration": heard.duration,
        "severity": heard.severity,
        "lasting": isinstance(heard, Anomaly),
        "text": f"{what(heard)}, {heard.severity}, at {clock(heard.timestamp)} for {seconds(heard.duration)}",
    }


def _party(listening: Listening, name: str) -> str:
    talk_ms, heard_ms = listening.stats.talk_ms[name], listening.stats.heard_ms
    level = listening.meters[name].level_dbov()
    loudness = "nothing heard" if level is None else f"{level:.1f} dBov"
    numbers = (clock(talk_ms), share(talk_ms, heard_ms), loudness)
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    return f"<tr><td>{html.escape(name)}</td>{cells}</tr>"


def _row(heard: Heard) -> str:
    button = f'<button type="button" data-from="{heard.timestamp}" data-for="{heard.duration}">'
    told = html.escape(what(heard))
    if isinstance(heard, Anomaly):
        told = f'{html.escape(heard.description)} <span class="advice">{html.escape(heard.recommendation)}</span>'
    return (
        f"<tr><td>{button}{clock(heard.timestamp)}</button></td>"
        f'<td class="number">{seconds(heard.duration)}</td><td>{html.escape(heard.channel)}</td>'
        f'<td class="severity {heard.severity}">{heard.severity}</td><td>{told}</td></tr>'
    )

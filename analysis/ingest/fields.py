"""Single values out of a peer's message: each is either right, or a ProtocolError that names it."""

import re
from typing import Any

import orjson

from analysis.audio import Encoding
from analysis.ingest.events import ProtocolError
from analysis.resampling import STEP_HZ

UNREADABLE = 1003
WRONG = 1008

LOWEST_RATE_HZ = 8_000
HIGHEST_RATE_HZ = 48_000
LONGEST_IDENTIFIER = 256

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# What phone systems call the three encodings, compared without regard to case.
_ENCODINGS = {
    **dict.fromkeys(("mulaw", "ulaw", "pcmu", "audio/x-mulaw", "audio/pcmu", "audio/basic"), Encoding.MULAW),
    **dict.fromkeys(("alaw", "pcma", "audio/x-alaw", "audio/pcma"), Encoding.ALAW),
    **dict.fromkeys(
        ("linear16", "l16", "slin", "pcm", "pcm_s16le", "audio/x-l16", "audio/l16", "audio/x-raw"),
        Encoding.LINEAR16,
    ),
}


def shown(value: Any) -> str:
    """The value as a peer may be shown it and a log may hold it: printable ASCII, at most 40 characters."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value)
    return text if len(text) <= 40 else text[:37] + "..."


def json_object(message: str) -> dict[str, Any]:
    """The JSON object in a text frame."""
    try:
        value = orjson.loads(message)
    except ValueError as error:
        raise ProtocolError(UNREADABLE, f"text frame is not JSON: {error}") from None
    return object_field(value, "text frame")


def object_field(value: Any, name: str) -> dict[str, Any]:
    """A JSON object inside another one."""
    if not isinstance(value, dict):
        raise ProtocolError(UNREADABLE, f"{name} is not an object: {shown(value)}")
    return value


def text_field(value: Any, name: str) -> str:
    """A JSON string."""
    if not isinstance(value, str):
        raise ProtocolError(UNREADABLE, f"{name} is not a string: {shown(value)}")
    return value


def identifier(value: Any, name: str) -> str:
    """A call's or stream's id: 1–256 characters without controls."""
    text = text_field(value, name)
    if not 1 <= len(text) <= LONGEST_IDENTIFIER:
        raise ProtocolError(WRONG, f"{name} has {len(text)} characters, not 1 to {LONGEST_IDENTIFIER}")
    if _CONTROLS.search(text):
        raise ProtocolError(WRONG, f"{name} has control characters: {shown(text)}")
    return text


def whole_number(value: Any, name: str, code: int = UNREADABLE) -> int:
    """An integer of 0 or more, as a number or in decimal digits: platforms write numbers as strings.

    15 digits are as far as every JSON reader agrees on integers; a longer number is refused.
    """
    if type(value) is str and len(value) <= 15 and value.isascii() and value.isdigit():
        return int(value)
    if type(value) is int and 0 <= value < 10**15:
        return value
    raise ProtocolError(code, f"{name} is not a whole number: {shown(value)}")


def sample_rate_hz(value: Any, name: str, code: int = UNREADABLE) -> int:
    """A sample rate of 8,000 to 48,000 Hz that can be heard."""
    rate = whole_number(value, name, code)
    if not LOWEST_RATE_HZ <= rate <= HIGHEST_RATE_HZ or rate % STEP_HZ:
        taken = f"{LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} in steps of {STEP_HZ}"
        raise ProtocolError(code, f"{name} is {rate} Hz, not {taken}")
    return rate


def encoding(value: Any, name: str) -> Encoding:
    """One of the three encodings, by any of the names that phone systems give it."""
    known = _ENCODINGS.get(text_field(value, name).lower())
    if known is None:
        raise ProtocolError(UNREADABLE, f"{name} {shown(value)} is not linear16, mulaw or alaw")
    return known

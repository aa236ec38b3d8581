"""The frames of the subscribers' socket: what a client says, read and checked, and what it is answered."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from alerts.access import is_call_id

PROTOCOLS = {"alerts.v1": 1, "alerts.v2": 2}
LONGEST_REF = 128
LARGEST_NUMBER = 2**53  # what every client's numbers can hold exactly
LONGEST_NOTE = 4000
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # all but line ends and tabs
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Ref = str | int | None


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for.

    Attributes:
        type: `subscribe`, `unsubscribe`, `resume`, `acknowledge`, `auth` or `ping`.
        ref: the client's mark, for the answer.
        last_seq: the last alert of the call that the client has.
        since: Unix ms from which on the client may have missed something.
        alert_id: the alert to acknowledge, and `note` what is said about it.
    """

    type: str
    ref: Ref = None
    call_id: str = ""
    last_seq: int | None = None
    since: int | None = None
    token: str = ""
    alert_id: UUID | None = None
    note: str = ""


class Malformed(Exception):
    """A message that is no request: an error code of version 2 and one sentence. `ref` where it could be read."""

    def __init__(self, code: str, message: str, ref: Ref = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.ref = ref


def choose(offered: list[str], asked: str | None) -> tuple[str | None, int]:
    """The subprotocol to select, and the version to speak: the highest offered, else what `?v=` asks for."""
    known = [name for name in offered if name in PROTOCOLS]
    if known:
        best = max(known, key=PROTOCOLS.__getitem__)
        return best, PROTOCOLS[best]
    return None, 2 if asked == "2" else 1


def read(data: bytes, version: int) -> Request:
    """A client's message.

    Raises:
        Malformed: it is none that this version knows.
    """
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed("bad_json", "The message is not JSON.") from error
    if not isinstance(frame, dict):
        raise Malformed("bad_request", "The message is not a JSON object.")
    ref = _ref(frame) if version > 1 else None
    match frame.get("type"):
        case "ping":
            return Request("ping", ref)
        case "unsubscribe":
            return Request("unsubscribe", ref, _call_id(frame, ref))
        case "subscribe" if version == 1:
            return Request("subscribe", ref, _call_id(frame, ref))
        case "subscribe":
            call_id = _call_id(frame, ref)
            return Request("subscribe", ref, call_id, _whole(frame, "lastSeq", ref), _whole(frame, "since", ref))
        case "resume" if version > 1:
            return Request("resume", ref, since=_required(_whole(frame, "since", ref), "since", ref))
        case "acknowledge" if version > 1:
            return Request("acknowledge", ref, alert_id=_alert_id(frame, ref), note=_note(frame, ref))
        case "auth" if version > 1:
            return Request("auth", ref, token=_token(frame, ref))
        case str(unknown):
            raise Malformed("unknown_type", f"There is no request {_shown(unknown)}.", ref)
        case _:
            raise Malformed("bad_request", "type must be text.", ref)


def _ref(frame: dict[str, Any]) -> Ref:
    ref = frame.get("ref")
    if ref is None or (isinstance(ref, str) and len(ref) <= LONGEST_REF):
        return ref
    if _is_whole(ref) and abs(ref) <= LARGEST_NUMBER:
        return int(ref)
    raise Malformed("bad_request", f"ref must be text of up to {LONGEST_REF} characters or a whole number.")


def _call_id(frame: dict[str, Any], ref: Ref) -> str:
    call_id = frame.get("callId")
    if isinstance(call_id, str) and is_call_id(call_id):
        return call_id
    raise Malformed("bad_request", "callId must be text of 1 to 256 characters without control characters.", ref)


def _whole(frame: dict[str, Any], name: str, ref: Ref) -> int | None:
    value = frame.get(name)
    if value is None or (_is_whole(value) and 0 <= value <= LARGEST_NUMBER):
        return value
    raise Malformed("bad_request", f"{name} must be a whole number of 0 or more.", ref)


def _required(value: int | None, name: str, ref: Ref) -> int:
    if value is None:
        raise Malformed("bad_request", f"{name} is missing.", ref)
    return value


def _alert_id(frame: dict[str, Any], ref: Ref) -> UUID:
    alert_id = frame.get("id")
    if isinstance(alert_id, str) and ID.fullmatch(alert_id):
        return UUID(alert_id)
    raise Malformed("bad_request", "id must be the id of an alert.", ref)


def _note(frame: dict[str, Any], ref: Ref) -> str:
    note = frame.get("note", "")
    if isinstance(note, str) and len(note) <= LONGEST_NOTE and not CONTROLS.search(note):
        return note
    raise Malformed("bad_request", f"note must be text of up to {LONGEST_NOTE} characters without controls.", ref)


def _token(frame: dict[str, Any], ref: Ref) -> str:
    token = frame.get("token")
    if isinstance(token, str):
        return token
    raise Malformed("bad_request", "token must be text.", ref)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: str) -> str:
    """A client's word in a message to it: printable and short."""
    return repr(value if len(value) <= 40 else value[:40] + "…")


def encoded(frame: dict[str, Any], ref: Ref = None) -> str:
    """A frame as text, with the request's `ref` if it had one."""
    return orjson.dumps(frame if ref is None else frame | {"ref": ref}).decode()


def error(code: str, message: str, ref: Ref = None) -> str:
    """Version 2's answer to a request that was not granted."""
    return encoded({"type": "error", "code": code, "message": message}, ref)

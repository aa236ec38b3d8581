"""The one shape of an alert, everywhere it is shown, and of what may be posted."""

import json
import re
from typing import Any

import orjson
from rest_framework import serializers

from alerts.access import is_call_id
from alerts.models import Alert, AlertType, Call, Severity


def wire(alert: Alert, call_id: str) -> dict[str, Any]:
    """An alert as clients of the socket get it; absent values are left out."""
    shape = {
        "id": str(alert.id),
        "type": str(alert.type),
        "severity": Severity(alert.severity).label,
        "timestamp": alert.timestamp,
        "callId": call_id or None,
        "title": alert.title,
        "message": alert.message,
        "data": alert.data,
        "actionable": alert.actionable,
        "seq": alert.seq,
        "kind": alert.kind or None,
        "channel": alert.channel or None,
        "occurredAt": alert.occurred_at,
        "suppressedCount": alert.suppressed_count,
        "suppressed": alert.suppressed,
        "repeatOf": str(alert.repeat_of) if alert.repeat_of else None,
        "correlationId": str(alert.correlation_id),
        "version": alert.version,
    }
    return {key: value for key, value in shape.items() if value is not None}


def whole(alert: Alert, call_id: str) -> dict[str, Any]:
    """An alert with all that became of it since it was sent, as REST and `alert.updated` show it."""
    return wire(alert, call_id) | {
        "acknowledgedAt": alert.acknowledged_at,
        "acknowledgedBy": alert.acknowledged_by or None,
        "note": alert.note or None,
        "endedAt": alert.ended_at,
        "storedAt": alert.stored_at,
        "externalId": alert.external_id,
    }


class AlertSerializer(serializers.BaseSerializer[Alert]):
    """An alert as REST shows it."""

    def to_representation(self, instance: Alert) -> dict[str, Any]:
        return whole(instance, instance.call.call_id)


class CallSerializer(serializers.BaseSerializer[Call]):
    """A call as REST shows it."""

    def to_representation(self, instance: Call) -> dict[str, Any]:
        return {
            "callId": instance.call_id,
            "startedAt": instance.started_at,
            "endedAt": instance.ended_at,
            "active": instance.active,
            "team": instance.team.slug if instance.team else None,
            "protocol": instance.protocol,
            "channels": instance.channels,
            "mosScore": instance.mos_score,
            "alertCount": instance.last_seq,
        }


NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # escaped in JSON; PostgreSQL cannot store it
MAX_DATA_BYTES = 64 * 1024  # encoded; sixteen such alerts are what may wait for a client


def no_controls(value: str) -> None:
    """Refuses text with control characters, which neither databases nor screens take well."""
    if any((ord(character) < 32 and character not in "\n\t") or ord(character) == 127 for character in value):
        raise serializers.ValidationError("Control characters are not allowed.")


def encodable(value: Any) -> bytes:
    """The value as JSON, if an alert can carry it.

    Raises:
        ValidationError: it has what JSON or a database cannot hold (NaN, half characters, NUL), or is too long.
    """
    try:
        json.dumps(value, allow_nan=False)  # orjson would write null for NaN
        encoded = orjson.dumps([value])[1:-1]  # one level down, as in an alert
    except (TypeError, ValueError, RecursionError) as error:
        raise serializers.ValidationError(f"Cannot be encoded: {error}.") from error
    if len(encoded) > MAX_DATA_BYTES:
        raise serializers.ValidationError(f"{len(encoded)} bytes of JSON; {MAX_DATA_BYTES} is the most.")
    if NUL.search(encoded):
        raise serializers.ValidationError("Control characters are not allowed.")
    return encoded


class Text(serializers.CharField):
    """Text as it was sent: neither trimmed nor made from a number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, validators=[no_controls], **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError(f"Expected text, got {type(data).__name__}.")
        return str(super().to_internal_value(data))


class _Strict(serializers.Serializer[dict[str, Any]]):
    """An object without fields that nobody reads."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({str(name): ["Unknown field."] for name in unknown})
        return dict(super().to_internal_value(data))


class PostedAlertSerializer(_Strict):
    """One alert of another engine, as posted."""

    type = serializers.ChoiceField(choices=AlertType.values)
    severity = serializers.ChoiceField(choices=[str(severity.label) for severity in Severity])
    title = Text(max_length=200)
    message = Text(max_length=4000)
    callId = Text(max_length=256, required=False)
    kind = Text(max_length=64, required=False, default="")
    channel = Text(max_length=64, required=False, default="")
    data = serializers.DictField(required=False, default=dict)  # type: ignore[assignment]  # the contract's name
    actionable = serializers.BooleanField(required=False, default=False)
    occurredAt = serializers.IntegerField(required=False, min_value=0, max_value=2**53, default=None, allow_null=True)
    externalId = Text(max_length=200, required=False, default=None, allow_null=True)

    def validate_callId(self, value: str) -> str:
        if not is_call_id(value):
            raise serializers.ValidationError("Control characters are not allowed.")
        return value

    def validate_data(self, value: dict[str, Any]) -> dict[str, Any]:
        encodable(value)
        return value


class NoteSerializer(_Strict):
    """What somebody who acknowledges an alert wants to say."""

    note = Text(max_length=4000, required=False, allow_blank=True, default="")

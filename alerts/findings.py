"""What other engines found, as records: checked, worded, and made the reports that alerts come from."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from rest_framework import serializers

from alerts import wording
from alerts.models import Severity
from alerts.serializers import Text, encodable
from alerts.wording import Wording
from alerts.writer import Report

WHOLE = "non_field_errors"  # where Django REST framework tells what is wrong with an object as such
LONGEST_MS = 2**53  # as far as every JSON reader agrees on integers
MOST_FOUND = 1_000  # records a request
LOWEST_MOS, HIGHEST_MOS = 1.0, 5.0  # the scale of opinions; a model may end below


class _Ms(serializers.IntegerField):
    """Whole milliseconds, of media time or a duration; neither made from text nor cut off."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=LONGEST_MS, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            raise serializers.ValidationError(f"Expected whole milliseconds, got {data!r:.80}.")
        return data


class _Number(serializers.FloatField):
    """A number as it was told, within bounds."""

    def to_internal_value(self, data: Any) -> float:
        if not isinstance(data, int | float) or isinstance(data, bool):
            raise serializers.ValidationError(f"Expected a number, got {data!r:.80}.")
        return data


class _Flag(serializers.BooleanField):
    """True or false, and nothing that may be read as either."""

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            raise serializers.ValidationError(f"Expected true or false, got {data!r:.80}.")
        return data


class Record(serializers.Serializer[Any]):
    """A JSON object whose known fields are right. Others are kept: an engine may know more than we read."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError({WHOLE: [f"Expected an object, got {type(data).__name__}."]})
        try:
            as_sent: dict[str, Any] = orjson.loads(encodable(data))  # a copy: its engine may go on using the other
        except serializers.ValidationError as error:
            raise serializers.ValidationError({WHOLE: error.detail}) from error
        as_sent.pop("record", None)  # which kind it is, where records come in one stream
        super().to_internal_value(as_sent)
        return as_sent


class EventRecord(Record):
    """Something that happened in a call: record `event` of `python -m analysis --json`."""

    type = Text(max_length=64)
    channel = Text(max_length=64, required=False, allow_blank=True)
    timestamp = _Ms()
    duration = _Ms(required=False)
    severity = serializers.ChoiceField(choices=[str(severity.label) for severity in Severity])
    metadata = serializers.DictField(required=False)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        event = super().to_internal_value(data)
        if event["type"] in wording.TELLS_DURATION and "duration" not in event:
            raise serializers.ValidationError({"duration": ["This field is required."]})
        return event


class AnomalyRecord(Record):
    """Something wrong with a call's audio, or with hearing it: record `anomaly`."""

    type = Text(max_length=64)
    channel = Text(max_length=64, required=False, allow_blank=True)
    timestamp = _Ms(required=False)
    duration = _Ms(required=False)
    severity = serializers.ChoiceField(choices=[str(severity.label) for severity in Severity])
    confidence = _Number(min_value=0, max_value=1)
    description = Text(max_length=4000)
    recommendation = Text(max_length=4000, required=False, allow_blank=True)
    metadata = serializers.DictField(required=False)


class QualityRecord(Record):
    """How well a call sounds; `degraded` is for engines that decide it themselves."""

    mosScore = _Number(min_value=LOWEST_MOS, max_value=HIGHEST_MOS)
    degraded = _Flag(required=False, allow_null=True)


class SentimentRecord(Record):
    """What mood the speakers are in."""

    sentiment = Text(max_length=64)
    confidence = _Number(min_value=0, max_value=1)


class ResultRecord(Record):
    """What is known about a call so far: record `result`. Half of one is none."""

    timestamp = _Ms(required=False)
    callQuality = QualityRecord()
    sentiment = SentimentRecord()


class SummaryRecord(Record):
    """The summary of a call."""

    summary = Text(max_length=4000)


@dataclass(frozen=True, slots=True)
class Found:
    """What an engine found in a call, all of it right."""

    events: Sequence[dict[str, Any]]
    anomalies: Sequence[dict[str, Any]]
    result: dict[str, Any] | None

    def reports(self, call_id: str, source: str, ids: Iterator[UUID]) -> Iterator[Report]:
        """The reports of all of it, in its order, each with the next of the ids."""
        for event in self.events:
            yield of_event(call_id, event, source=source, id=next(ids))
        for anomaly in self.anomalies:
            yield of_anomaly(call_id, anomaly, source=source, id=next(ids))
        for report in of_result(call_id, self.result or {}, source=source):
            yield replace(report, id=next(ids))


def found(posted: Any) -> Found:
    """What was posted as `{"events", "anomalies", "result"}`, any of them, up to 1,000 records.

    Raises:
        ValidationError: what is wrong, by name; in a list under the record's index.
    """
    if not isinstance(posted, dict):
        raise serializers.ValidationError({WHOLE: [f"Expected an object, got {type(posted).__name__}."]})
    unknown = sorted(set(posted) - {"events", "anomalies", "result"})
    if unknown:
        raise serializers.ValidationError({name: ["Unknown field."] for name in unknown})
    if not posted:
        raise serializers.ValidationError({WHOLE: ["Give events, anomalies or a result."]})
    events, anomalies = _several("events", posted, EventRecord), _several("anomalies", posted, AnomalyRecord)
    count = len(events) + len(anomalies)
    if count > MOST_FOUND:
        raise serializers.ValidationError({WHOLE: [f"{count} records; {MOST_FOUND} is the most."]})
    return Found(events, anomalies, _named("result", posted["result"], ResultRecord) if "result" in posted else None)


def _several(name: str, posted: Mapping[str, Any], record_class: type[Record]) -> list[dict[str, Any]]:
    records = posted.get(name, [])
    if not isinstance(records, list):
        raise serializers.ValidationError({name: [f"Expected a list, got {type(records).__name__}."]})
    try:
        return [_named(str(index), record, record_class) for index, record in enumerate(records)]
    except serializers.ValidationError as error:
        raise serializers.ValidationError({name: error.detail}) from error


def _named(name: str, record: Any, record_class: type[Record]) -> dict[str, Any]:
    try:
        return checked(record_class, record)
    except serializers.ValidationError as error:
        raise serializers.ValidationError({name: error.detail}) from error


def checked(kind: type[serializers.Serializer[Any]], posted: Any) -> dict[str, Any]:
    """What was posted as its serializer reads it; a `Record` gives a copy.

    Raises:
        ValidationError: by field, what is wrong.
    """
    try:
        right: dict[str, Any] = _reader(kind).run_validation(posted)
    except serializers.ValidationError as error:
        raise serializers.ValidationError(serializers.as_serializer_error(error)) from error
    return right


@cache
def _reader(kind: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """One for all of a kind, as it keeps nothing of what it reads: making one takes six times as long as reading."""
    return kind()


def halves(result: Any) -> tuple[dict[str, Any], serializers.ValidationError | None]:
    """Of a result what is right, `callQuality` and `sentiment`, and what is wrong with it, if anything is."""
    try:
        return checked(ResultRecord, result), None
    except serializers.ValidationError as error:
        wrong = error
    right = {}
    for name, record_class in (("callQuality", QualityRecord), ("sentiment", SentimentRecord)):
        if isinstance(result, dict) and name in result:
            with contextlib.suppress(serializers.ValidationError):
                right[name] = checked(record_class, result[name])
    return right, wrong


def of_event(call_id: str, event: Mapping[str, Any], **more: Any) -> Report:
    """The report of an event record that is right; `more` are further fields of the report."""
    return worded(call_id, wording.for_event(event), channel=event.get("channel", ""), **more)


def of_anomaly(call_id: str, anomaly: Mapping[str, Any], **more: Any) -> Report:
    """The report of an anomaly record that is right."""
    return worded(call_id, wording.for_anomaly(anomaly), channel=anomaly.get("channel", ""), **more)


def of_result(call_id: str, result: Mapping[str, Any], **more: Any) -> list[Report]:
    """The reports of a result: of a call that sounds bad, or of a party that is not content; mostly none."""
    words = [
        wording.for_quality(result["callQuality"]) if "callQuality" in result else None,
        wording.for_sentiment(result["sentiment"]) if "sentiment" in result else None,
    ]
    return [worded(call_id, each, **more) for each in words if each]


def of_summary(call_id: str, summary: str, **more: Any) -> Report:
    """The report of a call's summary."""
    return worded(call_id, wording.for_summary(summary), **more)


def of_stream(call_id: str, kind: str, protocol: str, reason: str, **more: Any) -> Report:
    """The report of a stream that `started`, `ended` or is `lost`."""
    return worded(call_id, wording.for_stream(kind, protocol, reason), **more)


def of_posted(alert: Mapping[str, Any], **more: Any) -> Report:
    """The report of an alert that somebody posted, as `PostedAlertSerializer` found it right."""
    return Report(
        type=alert["type"],
        severity=Severity[alert["severity"].upper()],
        title=alert["title"],
        message=alert["message"],
        call_id=alert.get("callId", ""),
        kind=alert["kind"],
        channel=alert["channel"],
        data=alert["data"],
        actionable=alert["actionable"],
        occurred_at=alert["occurredAt"],
        external_id=alert["externalId"],
        **more,
    )


def told(error: serializers.ValidationError) -> str:
    """What is wrong as one sentence that names the field, for those who get no JSON: `callQuality.mosScore: …`."""
    at: list[str] = []
    detail: Any = error.detail
    while isinstance(detail, dict | list) and detail:
        name, detail = next(iter(detail.items())) if isinstance(detail, dict) else ("", detail[0])
        if name and name != WHOLE:
            at.append(str(name))
    return ": ".join(filter(None, (".".join(at), str(detail))))


def worded(call_id: str, words: Wording, **more: Any) -> Report:
    """A report in these words."""
    return Report(
        type=words.type,
        severity=words.severity,
        title=words.title,
        message=words.message,
        call_id=call_id,
        kind=words.kind,
        data=words.data,
        actionable=words.actionable,
        **more,
    )

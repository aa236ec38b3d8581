"""REST: words and network samples posted about a call, for the engine that hears it."""

from typing import Any, ClassVar

from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from alerts import told
from alerts.api import check_publisher, principal_for
from alerts.calls import call_id_of
from alerts.findings import checked
from alerts.models import Call, Told
from alerts.serializers import Text

MAX_ITEMS = 1_000
LATEST = 2**53
CODE = 64  # characters of a name or an id
SENTIMENTS = ("positive", "neutral", "negative", "mixed")


class NotHeard(exceptions.APIException):
    """Words and samples are judged with the sound of the call: nobody could make anything of them."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = "The call is not being heard: it has not begun, or is over, or another engine reports about it."


class _Item(serializers.Serializer[dict[str, Any]]):
    """One item of a list, whose names may be written in camelCase or in snake_case; others are refused."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            wrong = f"Expected an object, got {type(data).__name__}."
            raise serializers.ValidationError({"non_field_errors": [wrong]})
        named = {_camel(str(name)): value for name, value in data.items() if value is not None}
        unknown = sorted(set(named) - set(self.fields))
        if unknown:
            raise serializers.ValidationError({name: ["Unknown field."] for name in unknown})
        return dict(super().to_internal_value(named))


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def _number(least: float, most: float) -> serializers.FloatField:
    return serializers.FloatField(required=False, min_value=least, max_value=most)


def _count() -> serializers.IntegerField:
    return serializers.IntegerField(required=False, min_value=0, max_value=LATEST)


class SegmentSerializer(_Item):
    """Something said, as a transcriber heard it."""

    segmentId = Text(max_length=256, required=False)
    role = Text(max_length=CODE, required=False, default="")
    text = Text(max_length=8000, allow_blank=True)
    isFinal = serializers.BooleanField(required=False, default=True)
    startMs = _count()
    endMs = _count()
    confidence = _number(0, 1)
    lang = Text(max_length=CODE, required=False)
    sentiment = serializers.ChoiceField(choices=SENTIMENTS, required=False)
    sentimentConfidence = _number(0, 1)


class SampleSerializer(_Item):
    """What a network says of one stream of the call over some seconds."""

    ts = _count()
    role = Text(max_length=CODE, required=False)
    direction = serializers.ChoiceField(choices=("rx", "tx"), required=False)
    intervalS = _number(0, 86_400)
    packets = _count()
    lost = _count()
    bursts = _count()
    lossPct = _number(0, 100)
    burstR = _number(1, 1_000)
    jitterMs = _number(0, 60_000)
    rttMs = _number(0, 60_000)
    mos = _number(1, 5)
    codec = Text(max_length=CODE, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        telling = {"packets", "lossPct", "jitterMs", "rttMs", "mos"}
        if not telling & set(attrs):
            raise serializers.ValidationError(f"It tells nothing: one of {', '.join(sorted(telling))} is needed.")
        if "lost" in attrs and "packets" not in attrs:
            raise serializers.ValidationError({"lost": ["Without `packets`, the number received, it says nothing."]})
        return attrs


class _Posts(APIView):
    """POST: a list of items about a call; 202 once they are kept for who hears it."""

    kind: ClassVar[Told.Kind]
    name: ClassVar[str]
    item: ClassVar[type[_Item]]

    def post(self, request: Request, key: str) -> Response:
        principal, call_id = principal_for(request), call_id_of(key)
        check_publisher(principal, {call_id})
        items = self._checked(request.data)
        call = Call.objects.filter(call_id=call_id, active=True).first()
        if call is None or not call.channels:
            raise NotHeard
        self._check_roles(items, call.channels)
        told.tell(call, self.kind, items, principal.name)
        return Response({"accepted": len(items)}, status=status.HTTP_202_ACCEPTED)

    def _check_roles(self, items: list[dict[str, Any]], channels: list[str]) -> None:
        for number, item in enumerate(items):
            if item.get("role") and item["role"] not in channels:
                wrong = {"role": [f"{item['role']!r} is none of the call's: {', '.join(channels)}."]}
                raise exceptions.ValidationError({self.name: {str(number): wrong}})

    def _checked(self, posted: Any) -> list[dict[str, Any]]:
        """The items of the body.

        Raises:
            ValidationError: it is no object with that one list, or an item's field is wrong, by the item's index.
        """
        if not isinstance(posted, dict) or not isinstance(posted.get(self.name), list):
            raise exceptions.ValidationError({self.name: ["A list of objects is needed."]})
        unknown = sorted(set(posted) - {self.name, "source"})
        if unknown:
            raise exceptions.ValidationError({str(name): ["Unknown field."] for name in unknown})
        items = posted[self.name]
        if not 1 <= len(items) <= MAX_ITEMS:
            raise exceptions.ValidationError({self.name: [f"{len(items)} items; a list takes 1 to {MAX_ITEMS}."]})
        return [self._item(number, one) for number, one in enumerate(items)]

    def _item(self, number: int, posted: Any) -> dict[str, Any]:
        try:
            return checked(self.item, posted)
        except exceptions.ValidationError as error:
            raise exceptions.ValidationError({self.name: {str(number): error.detail}}) from error


class Transcript(_Posts):
    """POST: segments of a call's transcript; only final ones are judged."""

    kind = Told.Kind.TRANSCRIPT
    name = "segments"
    item = SegmentSerializer


class Network(_Posts):
    """POST: samples of what the network says of a call."""

    kind = Told.Kind.NETWORK
    name = "samples"
    item = SampleSerializer

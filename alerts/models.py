"""What is kept: teams, calls and the alerts about them. Invariants are constraints, times are Unix ms."""

import json
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinLengthValidator
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from uuid_utils.compat import uuid7

LONGEST_NAME = 150  # a user's, as Django has it
LONGEST_JTI = 255
ROLES = ("caller", "agent")
FORMAT_FIELDS = ("encoding", "sample_rate", "roles")


class ExactJSONField(models.JSONField):
    """JSON kept as it was written. PostgreSQL's `jsonb`, the usual, changes the order of keys and the form of numbers,
    and an alert that is read back has to be the same bytes as the one that was sent."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        return json.dumps(value)

    def from_db_value(self, value: Any, *of_the_query: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value  # psycopg has read `json` already


class Severity(models.IntegerChoices):
    """How urgent an alert is, stored by rank so that "at least" is one comparison."""

    INFO = 0, "info"
    LOW = 1, "low"
    MEDIUM = 2, "medium"
    HIGH = 3, "high"
    CRITICAL = 4, "critical"


class AlertType(models.TextChoices):
    """The kinds of alert that clients know."""

    ANOMALY = "anomaly"
    CALL_EVENT = "call_event"
    QUALITY_DEGRADED = "quality_degraded"
    SENTIMENT_SHIFT = "sentiment_shift"
    CALL_SUMMARY = "call_summary"
    CONNECTION = "connection"
    DISCONNECTION = "disconnection"


class Team(models.Model):
    """People who see the same calls."""

    slug = models.SlugField(max_length=64, unique=True)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, blank=True, related_name="teams")

    def __str__(self) -> str:
        return self.slug


class RightsVersion(models.Model):
    """One row, counted up with every change of rights: who polls it knows when to look again."""

    version = models.BigIntegerField(default=0)

    @classmethod
    def current(cls) -> int:
        """The version now."""
        return next(iter(cls.objects.values_list("version", flat=True)), 0)


class DeniedToken(models.Model):
    """A token that lets nobody in any more: revoked, or a ticket that was used."""

    jti = models.CharField(max_length=LONGEST_JTI, unique=True)
    # the rows that may go, since their token has expired by itself; none: kept for good
    expires_at = models.BigIntegerField(null=True, blank=True, db_index=True, help_text="Unix ms")


class TokenCutoff(models.Model):
    """Tokens of this user that were issued earlier let nobody in. By name: a token's user need not have a row."""

    name = models.CharField(max_length=LONGEST_NAME, unique=True)
    valid_after = models.BigIntegerField(help_text="Unix ms")


class MediaEndpoint(models.Model):
    """Where one phone system connects to: `/media/<dialect>/<slug>/`, with a secret of its own."""

    class Proof(models.TextChoices):
        ANY = "any", "the token or the signature"
        TOKEN = "token", "the secret as a token"
        SIGNATURE = "signature", "Twilio's signature, the secret being the account's auth token"

    slug = models.SlugField(max_length=64, unique=True)
    dialect = models.CharField(max_length=32, choices=[("twilio", "twilio"), ("pcm", "pcm")])
    secret = models.CharField(max_length=200, validators=[MinLengthValidator(16)])
    proof = models.CharField(max_length=16, choices=Proof.choices, default=Proof.ANY)
    roles = models.JSONField(
        default=dict, blank=True, help_text='who is on which track, e.g. {"inbound": "agent", "outbound": "caller"}'
    )
    default_format = models.JSONField(
        default=dict, blank=True, help_text='what raw audio does not say of itself, e.g. {"sample_rate": "16000"}'
    )
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.PROTECT, related_name="endpoints")

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        """What the socket would refuse at the first call is refused when it is written down."""
        if self.dialect != "twilio" and self.proof == self.Proof.SIGNATURE:
            raise ValidationError({"proof": f"{self.dialect} sends no signature."})
        names = {"twilio": ("inbound", "outbound")}.get(self.dialect, ())
        _check_texts("roles", self.roles, names, ROLES)
        if self.roles and (set(self.roles) != set(names) or len(set(self.roles.values())) != len(names)):
            raise ValidationError({"roles": f"{self.roles} does not give each of {', '.join(names)} its own role."})
        _check_texts("default_format", self.default_format, FORMAT_FIELDS if self.dialect == "pcm" else ())


def _check_texts(field: str, given: Any, names: Sequence[str], values: Sequence[str] = ()) -> None:
    """Refuses what is no object of known names and text values."""
    if not isinstance(given, dict):
        raise ValidationError({field: f"{given!r} is no object."})
    for name, value in given.items():
        if name not in names:
            raise ValidationError({field: f"{name!r} is none of: {', '.join(names) or 'nothing here'}."})
        if not isinstance(value, str) or (values and value not in values):
            raise ValidationError({field: f"{name}: {value!r} is not {' or '.join(values) or 'text'}."})


class Call(models.Model):
    """A phone call, or the one hidden row (empty `call_id`) that alerts about no call belong to.

    The row is the lock under which its alerts are decided and changed: `last_seq`, `last_update` and `cooldowns` are
    written with them.
    """

    call_id = models.CharField(max_length=256, unique=True)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.SET_NULL, related_name="calls")
    protocol = models.CharField(max_length=32, blank=True, default="")
    channels = models.JSONField(default=list, blank=True)
    started_at = models.BigIntegerField(help_text="Unix ms")
    ended_at = models.BigIntegerField(null=True, blank=True, help_text="Unix ms")
    active = models.BooleanField(default=False)
    heard_by = models.CharField(max_length=300, blank=True, default="", help_text="the process that last heard it")
    last_seq = models.BigIntegerField(default=0)
    last_update = models.BigIntegerField(default=0, help_text="changes to its sent alerts, counted")
    changed_at = models.BigIntegerField(default=0, help_text="its last alert was stored or changed, Unix ms")
    mos_score = models.FloatField(null=True, blank=True, help_text="1..4.5, the latest that was told")
    cooldowns = models.JSONField(default=dict, blank=True)

    class Meta:
        indexes = [
            # the page and `calls/?active=true`: the few calls in progress among all that ever were
            models.Index(fields=["-id"], name="call_active", condition=Q(active=True)),
            # the hubs' poll: which calls got alerts since the last one
            models.Index(fields=["changed_at"], name="call_changed"),
        ]

    def __str__(self) -> str:
        return self.call_id or "(no call)"


class Alert(models.Model):
    """Something somebody should know. Its id is made when it is raised and grows with time (UUID version 7)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    call = models.ForeignKey(Call, on_delete=models.PROTECT, related_name="alerts", db_index=False)
    seq = models.BigIntegerField(null=True, blank=True, help_text="place among the call's sent alerts, from 1")
    type = models.CharField(max_length=32, choices=AlertType.choices)
    kind = models.CharField(max_length=64, blank=True, default="")
    severity = models.PositiveSmallIntegerField(choices=Severity.choices)
    channel = models.CharField(max_length=64, blank=True, default="")
    timestamp = models.BigIntegerField(help_text="raised, Unix ms")
    occurred_at = models.BigIntegerField(null=True, blank=True, help_text="wall time of the audio, Unix ms")
    stored_at = models.BigIntegerField(help_text="Unix ms")
    ended_at = models.BigIntegerField(null=True, blank=True, help_text="Unix ms")
    acknowledged_at = models.BigIntegerField(null=True, blank=True, help_text="Unix ms")
    acknowledged_by = models.CharField(max_length=LONGEST_NAME, blank=True, default="")
    note = models.TextField(max_length=4000, blank=True, default="", help_text="of who acknowledged it")
    changed_at = models.BigIntegerField(null=True, blank=True, help_text="last change after it was stored, Unix ms")
    update_no = models.BigIntegerField(
        null=True, blank=True, help_text="its last change's place among those of the call's sent alerts, from 1"
    )
    title = models.CharField(max_length=200)
    message = models.TextField(max_length=4000)
    data = ExactJSONField(default=dict, blank=True)
    actionable = models.BooleanField(default=False)
    suppressed = models.BooleanField(default=False)
    suppressed_count = models.PositiveIntegerField(default=0)
    repeat_of = models.UUIDField(null=True, blank=True)
    correlation_id = models.UUIDField()
    version = models.PositiveIntegerField(default=1)
    source = models.CharField(max_length=150, blank=True, default="", help_text="who posted it")
    external_id = models.CharField(max_length=200, null=True, blank=True)

    class Meta:
        indexes = [
            # one call's history, newest first; the anchor of a correlation: its first alert of the ten seconds before
            models.Index(fields=["call", "timestamp", "id"], name="alert_of_call"),
            # the history, newest first; `since` and `until` of it
            models.Index(fields=["timestamp", "id"], name="alert_newest"),
            # the history of one kind, severity or type, newest first, however rare it is
            models.Index(fields=["kind", "timestamp", "id"], name="alert_of_kind"),
            models.Index(fields=["severity", "timestamp", "id"], name="alert_of_severity"),
            models.Index(fields=["type", "timestamp", "id"], name="alert_of_type"),
            # `actionable=true&acknowledged=false`: what waits for somebody, few among many
            models.Index(
                fields=["timestamp", "id"],
                name="alert_waiting",
                condition=Q(actionable=True, acknowledged_at__isnull=True),
            ),
            # `acknowledged=true`: few, too
            models.Index(fields=["timestamp", "id"], name="alert_seen_to", condition=Q(acknowledged_at__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(fields=["call", "seq"], name="alert_one_per_seq"),
            models.UniqueConstraint(fields=["call", "update_no"], name="alert_one_per_update"),
            models.UniqueConstraint(fields=["source", "external_id"], name="alert_one_per_external_id"),
            models.CheckConstraint(
                condition=Q(seq__isnull=True, suppressed=True) | Q(seq__isnull=False, suppressed=False),
                name="alert_has_seq_unless_suppressed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.get_severity_display()})"


class Attendance(models.Model):
    """A process that serves subscribers, and how many it had when it last told the others."""

    process = models.CharField(max_length=32, unique=True)
    subscribers = models.PositiveIntegerField()
    told_at = models.BigIntegerField(help_text="Unix ms; long ago: the process was killed")


class Answered(models.Model):
    """A posted request that carried an `Idempotency-Key`, and what was answered: a repeat within 24 h gets the same."""

    source = models.CharField(max_length=LONGEST_NAME, help_text="who posted it")
    route = models.CharField(max_length=500)
    key = models.CharField(max_length=255)
    body_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="none while it is being answered")
    answer = ExactJSONField(default=dict, blank=True)
    asked_at = models.BigIntegerField(db_index=True, help_text="Unix ms; rows older than a day may go")

    class Meta:
        verbose_name = "answered request"
        constraints = [models.UniqueConstraint(fields=["source", "route", "key"], name="answered_once_per_key")]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"


class Told(models.Model):
    """Words or network samples that were posted about a call, until the process that hears it takes them."""

    class Kind(models.TextChoices):
        TRANSCRIPT = "transcript", "segments of a transcript"
        NETWORK = "network", "samples of a network"

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="told")
    kind = models.CharField(max_length=16, choices=Kind.choices)
    items = ExactJSONField(default=list)
    source = models.CharField(max_length=LONGEST_NAME, blank=True, default="", help_text="who posted it")
    posted_at = models.BigIntegerField(help_text="Unix ms")

    class Meta:
        verbose_name_plural = "told"

    def __str__(self) -> str:
        return f"{self.kind} of {self.call}"

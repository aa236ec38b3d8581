"""Who may see which call: one answer for the socket, REST and the page."""

from dataclasses import dataclass, field

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q, QuerySet

from alerts.models import Alert, Call

EVERY_CALL = "*"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was let in, and what they may do. Call ids and teams are what was true when they came.

    Attributes:
        name: the user's name; empty when unknown (auth off).
        everything: sees every call, and alerts about none.
        calls: the call ids a token lists.
        teams: keys of the teams whose calls they see.
        scopes: what a token allows: `subscribe`, `acknowledge`, `publish`.
        adds_alerts: has the database's right to add alerts.
        expires_at: Unix seconds after which they are let out; None: never.
    """

    name: str
    everything: bool = False
    calls: frozenset[str] = frozenset()
    teams: frozenset[int] = frozenset()
    scopes: frozenset[str] = field(default_factory=lambda: frozenset({"subscribe"}))
    adds_alerts: bool = False
    expires_at: float | None = None

    @property
    def is_authenticated(self) -> bool:
        """Always true: Django REST framework asks it of a request's user."""
        return True

    def sees(self, call_id: str, team: int | None) -> bool:
        """Whether they may see a call, by its id and its team's key."""
        return self.everything or call_id in self.calls or (team is not None and team in self.teams)

    def may_publish(self, call_id: str, team: int | None) -> bool:
        """Whether they may post an alert about a call (empty id: about none)."""
        return ("publish" in self.scopes or self.adds_alerts) and self.sees(call_id, team)


ANYBODY = Principal(name="", everything=True)  # auth is off: the alert socket alone is open


def of_user(user: AbstractBaseUser | AnonymousUser, scopes: frozenset[str], expires_at: float | None) -> Principal:
    """The rights that the database gives a user: staff who may view alerts see all, others their teams' calls."""
    return Principal(
        name=user.get_username(),
        everything=bool(user.is_staff and user.has_perm("alerts.view_alert")),  # type: ignore[union-attr]
        teams=frozenset(user.teams.values_list("pk", flat=True)),  # type: ignore[union-attr]
        scopes=scopes,
        adds_alerts=user.has_perm("alerts.add_alert"),  # type: ignore[union-attr]
        expires_at=expires_at,
    )


def may_subscribe(principal: Principal, call_id: str) -> bool:
    """Whether they may follow a call. Hidden and unknown get the same answer."""
    if principal.everything or call_id in principal.calls:
        return True
    return Call.objects.filter(call_id=call_id, team__in=principal.teams).exists()


def visible_calls(principal: Principal) -> QuerySet[Call]:
    """The calls they may see."""
    calls = Call.objects.exclude(call_id="")
    if principal.everything:
        return calls
    return calls.filter(Q(call_id__in=principal.calls) | Q(team__in=principal.teams))


def visible_alerts(principal: Principal) -> QuerySet[Alert]:
    """The alerts they may see; those about no call only with every call."""
    alerts = Alert.objects.select_related("call")
    if principal.everything:
        return alerts
    return alerts.filter(Q(call__call_id__in=principal.calls) | Q(call__team__in=principal.teams))

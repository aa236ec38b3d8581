"""Who may see which call: one answer for the socket, REST, the page and the admin."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet

from alerts.models import Alert, Call, DeniedToken, RightsVersion, Team, TokenCutoff

EVERY_CALL = "*"
AT_ONCE = 500  # credentials a query, below what any database takes as parameters


@dataclass(frozen=True, slots=True)
class Credential:
    """What somebody showed, kept as long as they stay so that it can be looked at again.

    Attributes:
        name: the user's name; empty when unknown (auth off).
        calls: the call ids a token lists; None: the database decides.
        scopes: what it allows: `subscribe` (reading, on the socket and by REST), `acknowledge`, `publish`.
        ids: any of them denied, and it is revoked: a token's own, and that of the login it came from.
        issued_at: Unix seconds, 0 when a token does not say; None: no token but a session.
        expires_at: Unix seconds after which they are let out; None: never.
    """

    name: str
    calls: frozenset[str] | None = None
    scopes: frozenset[str] = frozenset({"subscribe"})
    ids: frozenset[str] = frozenset()
    issued_at: float | None = None
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who was let in, and what they may do.

    Attributes:
        everything: sees every call, and alerts about none.
        teams: keys of the teams whose calls they see.
        arranges: may make calls and give them to teams.
        adds_alerts: has the database's right to add alerts.
        as_of: the version of all rights at which this was true; None: the database has no say.
    """

    credential: Credential
    everything: bool = False
    teams: frozenset[int] = frozenset()
    arranges: bool = False
    adds_alerts: bool = False
    as_of: int | None = -1

    @property
    def name(self) -> str:
        return self.credential.name

    @property
    def scopes(self) -> frozenset[str]:
        return self.credential.scopes

    @property
    def calls(self) -> frozenset[str]:
        """The call ids that their token lists."""
        return self.credential.calls or frozenset()

    @property
    def expires_at(self) -> float | None:
        return self.credential.expires_at

    @property
    def is_authenticated(self) -> bool:
        """Always true: Django REST framework asks it of a request's user."""
        return True

    def sees(self, call_id: str, team: int | None) -> bool:
        """Whether they may see a call, by its id and its team's key."""
        return self.everything or call_id in self.calls or (team is not None and team in self.teams)


def anybody(name: str) -> Principal:
    """Whoever comes when auth is off; the alert socket alone is open then."""
    return Principal(Credential(name), everything=True, as_of=None)


def admit(credentials: Iterable[Credential]) -> dict[Credential, Principal]:
    """Whom credentials let in, by what the database says now; those not in the answer are let in no more.

    The version is read first: rights that change while they are read are then known to be out of date.
    """
    as_of = RightsVersion.current()
    waiting = iter(set(credentials))
    admitted: dict[Credential, Principal] = {}
    while some := list(islice(waiting, AT_ONCE)):
        admitted |= _admitted(some, as_of)
    return admitted


def _admitted(credentials: Collection[Credential], as_of: int) -> dict[Credential, Principal]:
    users = {user.get_username(): user for user in _users({one.name for one in credentials})}
    revoked = _revoked(credentials)
    valid = [one for one in credentials if one not in revoked and (one.name not in users or users[one.name].is_active)]
    listed = {
        one: Principal(one, everything=EVERY_CALL in one.calls, as_of=as_of) for one in valid if one.calls is not None
    }
    asking = [one for one in valid if one.calls is None and one.name in users]
    keys = {users[one.name].pk for one in asking}
    teams, viewers, adders = (
        _teams_of(keys),
        _with_perm("alerts.view_alert", keys),
        _with_perm("alerts.add_alert", keys),
    )
    for one in asking:
        user = users[one.name]
        sees_all = user.is_staff and user.pk in viewers
        listed[one] = Principal(
            one,
            everything=sees_all,
            teams=frozenset(teams.get(user.pk, ())),
            arranges=sees_all,
            adds_alerts=user.pk in adders,
            as_of=as_of,
        )
    return listed


def _users(names: Collection[str]) -> QuerySet[User]:
    return User.objects.filter(username__in=names)


def _with_perm(permission: str, keys: Collection[int]) -> set[int]:
    """Which of these users have a permission, themselves or by a group; superusers have all."""
    return set(User.objects.with_perm(permission).filter(pk__in=keys).values_list("pk", flat=True)) if keys else set()


def _teams_of(keys: Collection[int]) -> dict[int, set[int]]:
    teams: dict[int, set[int]] = {}
    for user, team in Team.members.through.objects.filter(user__in=keys).values_list("user", "team"):
        teams.setdefault(user, set()).add(team)
    return teams


def _revoked(credentials: Collection[Credential]) -> set[Credential]:
    """Tokens with a denied id, and those issued before their user's tokens became valid; sessions are neither."""
    tokens = [one for one in credentials if one.issued_at is not None]
    ids = {each for one in tokens for each in one.ids}
    denied = set(DeniedToken.objects.filter(jti__in=ids).values_list("jti", flat=True)) if ids else set()
    names = {one.name for one in tokens}
    since = dict(TokenCutoff.objects.filter(name__in=names).values_list("name", "valid_after")) if names else {}
    return {
        one
        for one in tokens
        if one.issued_at is not None and (denied & one.ids or one.issued_at * 1000 < since.get(one.name, 0))
    }


def of_user(name: str) -> Principal:
    """Who is signed in by a session; nothing is theirs if they may not come in any more."""
    session = Credential(name=name, scopes=frozenset({"subscribe", "acknowledge"}))
    return admit([session]).get(session, Principal(session))


def is_call_id(value: str) -> bool:
    """1–256 characters without controls."""
    return 0 < len(value) <= 256 and not any(ord(character) < 32 or ord(character) == 127 for character in value)


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

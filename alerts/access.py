"""Who may see which call: one answer for the socket, REST, the page and the admin."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.lookups import In

from alerts.in_order import InOrder
from alerts.models import Alert, Call, DeniedToken, RightsVersion, Team, TokenCutoff
from alerts.portions import portions

EVERY_CALL = "*"
FEW_CALLS = 100  # whose alerts are found by call; those of more are met soon enough among all, newest first


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
    """Whom credentials let in, by what the database says now; those not in the answer are let in no more."""
    admitted: dict[Credential, Principal] = {}
    for some in portions(set(credentials)):
        known = _look_up({one.name for one in some}, {each for one in some for each in one.ids})
        admitted |= _admitted([one for one in some if known.lets_in(one)], known)
    return admitted


@dataclass(frozen=True, slots=True)
class _User:
    key: int
    is_active: bool
    is_staff: bool


@dataclass(slots=True)
class _Known:
    """What the database says of some names and token ids.

    Attributes:
        version: of all rights. It comes with the rest or before it, so rights that change meanwhile are known to be
            out of date.
        denied: the ids among those asked for that let nobody in.
        valid_after: from when on tokens count, Unix ms by name.
    """

    version: int = 0
    denied: set[str] = field(default_factory=set)
    valid_after: dict[str, int] = field(default_factory=dict)
    users: dict[str, _User] = field(default_factory=dict)

    def lets_in(self, credential: Credential) -> bool:
        """Whether a credential is not revoked and its user may come in; with listed calls there need be no user."""
        user = self.users.get(credential.name)
        if credential.issued_at is not None and (
            self.denied & credential.ids or credential.issued_at * 1000 < self.valid_after.get(credential.name, 0)
        ):
            return False
        return credential.calls is not None if user is None else user.is_active


def _look_up(names: Collection[str], ids: Collection[str]) -> _Known:
    """One statement, since this is done for everybody who connects: four queries of the ORM took ten times as long."""
    tables = [model._meta.db_table for model in (RightsVersion, DeniedToken, TokenCutoff, User)]
    version, denied, cutoff, users = map(connection.ops.quote_name, tables)
    named, listed = ",".join(["%s"] * len(names)), ",".join(["%s"] * len(ids)) or "NULL"
    known = _Known()
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 'version', '', version, FALSE, FALSE FROM {version}"
            f" UNION ALL SELECT 'denied', jti, 0, FALSE, FALSE FROM {denied} WHERE jti IN ({listed})"
            f" UNION ALL SELECT 'cutoff', name, valid_after, FALSE, FALSE FROM {cutoff} WHERE name IN ({named})"
            f" UNION ALL SELECT 'user', username, id, is_active, is_staff FROM {users} WHERE username IN ({named})",
            [*ids, *names, *names],
        )
        for what, name, number, is_active, is_staff in cursor.fetchall():
            match what:
                case "version":
                    known.version = number
                case "denied":
                    known.denied.add(name)
                case "cutoff":
                    known.valid_after[name] = number
                case "user":
                    known.users[name] = _User(number, bool(is_active), bool(is_staff))
    return known


def _admitted(credentials: Collection[Credential], known: _Known) -> dict[Credential, Principal]:
    """What each of these credentials, which let in, is worth: by the calls it lists, else by its user's rights."""
    asking = [known.users[one.name] for one in credentials if one.calls is None]
    teams = _teams_of({user.key for user in asking})
    viewers = _with_perm("alerts.view_alert", {user.key for user in asking if user.is_staff})
    adders = _with_perm("alerts.add_alert", {user.key for user in asking})
    admitted = {}
    for one in credentials:
        if one.calls is not None:
            admitted[one] = Principal(one, everything=EVERY_CALL in one.calls, as_of=known.version)
            continue
        key = known.users[one.name].key
        admitted[one] = Principal(
            one,
            everything=key in viewers,
            teams=frozenset(teams.get(key, ())),
            arranges=key in viewers,
            adds_alerts=key in adders,
            as_of=known.version,
        )
    return admitted


def _with_perm(permission: str, keys: Collection[int]) -> set[int]:
    """Which of these users have a permission, themselves or by a group; superusers have all."""
    return set(User.objects.with_perm(permission).filter(pk__in=keys).values_list("pk", flat=True)) if keys else set()


def _teams_of(keys: Collection[int]) -> dict[int, set[int]]:
    teams: dict[int, set[int]] = {}
    if not keys:
        return teams
    for user, team in Team.members.through.objects.filter(user__in=keys).values_list("user", "team"):
        teams.setdefault(user, set()).add(team)
    return teams


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
    theirs = visible_calls(principal).values_list("pk", flat=True)
    few = list(theirs[: FEW_CALLS + 1])
    return alerts.filter(call__in=few) if len(few) <= FEW_CALLS else alerts.filter(In(InOrder("call"), theirs))

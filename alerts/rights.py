"""Rights that change while somebody is connected: each change is counted, and every process looks again within 1 s.

A change counts up one row (`RightsVersion`) in its own transaction; a process with subscribers reads the row twice a
second and, when it has moved on, asks `access.admit` again for all of them in a few queries.
"""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_save

from alerts import access
from alerts.access import Credential, Principal
from alerts.hub import Hub
from alerts.models import Call, RightsVersion, Team
from alerts.portions import portions
from alerts.subscriber import Subscriber
from alerts.threads import in_own_thread

logger = logging.getLogger(__name__)
POLL_S = 0.5


def changed() -> None:
    """Counts a change of rights, in the transaction that makes it."""
    RightsVersion.objects.bulk_create([RightsVersion(pk=1)], ignore_conflicts=True)
    RightsVersion.objects.filter(pk=1).update(version=F("version") + 1)


def count_changes() -> None:
    """Has every change that the ORM or the admin makes counted; called once, when the application is ready."""
    for model in (User, Group, Team, Call):
        post_save.connect(_saved, sender=model)
        post_delete.connect(_happened, sender=model)
    for between in (User.groups, User.user_permissions, Group.permissions, Team.members):
        m2m_changed.connect(_related, sender=between.through)


def _saved(instance: object, created: bool, update_fields: frozenset[str] | None, **_: Any) -> None:
    """A new call is followed by nobody whom it could surprise; its progress and signing in change no right."""
    named = set(update_fields or ())
    of_call = isinstance(instance, Call) and (created or (bool(named) and "team" not in named))
    if not of_call and named != {"last_login"}:
        changed()


def _happened(**_: Any) -> None:
    changed()


def _related(action: str, **_: Any) -> None:
    if action.startswith("post_"):
        changed()


_watch_task: asyncio.Task[None] | None = None


def watch(hub: Hub) -> None:
    """From now on the rights of a hub's subscribers are looked at, until the last has left."""
    global _watch_task
    if _watch_task is None or _watch_task.done():
        _watch_task = asyncio.create_task(_watch(hub))


async def _watch(hub: Hub) -> None:
    away = False
    while hub.subscribers():
        await asyncio.sleep(POLL_S)
        try:
            await _look_again(hub)
        except Exception:  # most likely the database is away; rights stay as they were last known
            if not away:
                logger.exception("rights could not be read; trying again")
            away = True
        else:
            away = False


async def _look_again(hub: Hub) -> None:
    """Has everybody whose rights were read at another version than the one now read again."""
    version = await in_own_thread(RightsVersion.current)()
    stale = [one for one in hub.subscribers() if one.principal.as_of not in (None, version)]
    if not stale:
        return
    before = {one: (one.principal, frozenset(one.calls)) for one in stale}
    followed = {call_id for principal, calls in before.values() for call_id in calls - principal.calls}
    admitted, teams = await in_own_thread(_read)([principal.credential for principal, _ in before.values()], followed)
    let_in_last = sorted(before.items(), key=lambda item: item[1][0].credential in admitted)
    for subscriber, (principal, calls) in let_in_last:
        if subscriber.principal is principal:  # not replaced meanwhile by a fresh token
            await _apply(hub, subscriber, admitted.get(principal.credential), calls, teams)
        await asyncio.sleep(0)  # thousands of them do not hold up an alert


def _read(
    credentials: Collection[Credential], followed: Collection[str]
) -> tuple[dict[Credential, Principal], dict[str, int | None]]:
    """What credentials are worth now, and the teams of calls."""
    admitted = access.admit(credentials)
    teams: dict[str, int | None] = {}
    for some in portions(followed):
        teams |= dict(Call.objects.filter(call_id__in=some).values_list("call_id", "team"))
    return admitted, teams


async def _apply(
    hub: Hub, subscriber: Subscriber, principal: Principal | None, calls: Collection[str], teams: dict[str, int | None]
) -> None:
    """Gives a subscriber the rights it has now, and takes from it what it may not see any more."""
    if principal is None:
        subscriber.end(4002, "Invalid or expired JWT token")
        return
    if not subscriber.calls <= set(calls):  # it follows another call since: that one is looked at in the next round
        principal = replace(principal, as_of=-1)
    await hub.change(subscriber, principal)
    for call_id in calls:
        if not principal.sees(call_id, teams.get(call_id)):
            await hub.unfollow(subscriber, call_id)
            subscriber.call_lost(call_id)

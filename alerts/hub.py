"""One per process: which subscriber follows which call, and that each gets its alerts in order and without holes."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from typing import Any

from alerts import missed, publish, repair
from alerts.access import Credential, Principal, admit
from alerts.membership import TURN_BYTES, Membership
from alerts.missed import Missed, Resumption, Return
from alerts.publish import Published
from alerts.repair import Hole, Standing
from alerts.replay import Replay
from alerts.shelf import Shelf
from alerts.subscriber import EVERY_CALL, Subscriber
from alerts.threads import SharedReads, in_own_thread
from alerts.writer import now_ms

logger = logging.getLogger(__name__)
CALLS_REMEMBERED = 100_000  # full: the longest silent that nobody follows is forgotten, its last 30 s may come twice
POLL_S = 1.0
RETRY_S = 1.0
PUBLISHED_WITHIN_S = 5.0
NO_CALL = ""  # the id under which alerts about no call are counted
V1_HIDES = frozenset({"connection", "disconnection"})


class Hub:
    """Hands alerts to its process's subscribers.

    Of each call it serves it knows the last `seq` and the last change that it handed over. The next one is handed
    over, earlier ones are dropped, and a later one, or a poll that says so, makes a hole: what is in it is read from
    the database, and so is all else of that call until the hole is filled.
    """

    def __init__(self) -> None:
        self.draining = False
        self._subscribers: set[Subscriber] = set()
        self._everywhere: set[Subscriber] = set()  # never subscribed: every call they may see
        self._see_all: set[Subscriber] = set()  # get alerts about no call, whatever they follow
        self._by_group: dict[str, set[Subscriber]] = {}
        self._membership = Membership(self._receive)
        self._served: dict[str, str] = {}  # group -> call id, of the calls that somebody follows
        self._stands: OrderedDict[str, Standing] = OrderedDict()  # of the calls served, the longest silent first
        self._ahead: dict[str, Standing] = {}  # how far calls have come, heard while where they stand is being read
        self._all_since: int | None = None  # every call is served: alerts stored before (Unix ms) are accounted for
        self._holes: dict[str, Hole] = {}  # at most one a call served; alerts in it wait in the database
        self._hole = asyncio.Event()
        self._shelf = Shelf()
        self._admissions = SharedReads(admit)  # of those who come at once, in few reads
        self._returns = SharedReads(missed.of_calls)
        self._resumptions = SharedReads(missed.of_all)
        self._standings = SharedReads(repair.standings)
        self._lately = SharedReads(repair.changed_within)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins the work beside the subscribers, on the running event loop; again: nothing."""
        if not self._tasks:
            self._publisher = publish.Publisher(asyncio.get_running_loop())
            publish.attach(self._publisher)
            work = (self._membership.run, self._poll, self._repair)
            self._tasks = [asyncio.create_task(task()) for task in work]

    async def stop(self) -> None:
        """Ends the work; nothing more is handed over."""
        publish.attach(None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._membership.stop()
        if self._tasks:
            self._publisher.stop()

    def subscribers(self) -> tuple[Subscriber, ...]:
        """Those connected now."""
        return tuple(self._subscribers)

    async def add(self, subscriber: Subscriber, call_id: str | None = None) -> None:
        """Takes a subscriber in: to follow one call, or, until it chooses, every call it may see."""
        self._subscribers.add(subscriber)
        if subscriber.principal.everything:
            self._see_all.add(subscriber)
        if call_id:
            await self.follow(subscriber, call_id)
        else:
            self._everywhere.add(subscriber)
            await self._serve_all()
        if subscriber in self._see_all:
            await self._serve(NO_CALL)

    async def follow(self, subscriber: Subscriber, call_id: str) -> None:
        """From now on only the chosen calls, and this is one of them."""
        if subscriber not in self._subscribers:
            return  # it was let go while its rights were looked up
        self._everywhere.discard(subscriber)
        subscriber.end_replay(EVERY_CALL)
        subscriber.calls.add(call_id)
        self._by_group.setdefault(publish.group_of(call_id), set()).add(subscriber)
        await self._serve(call_id)
        self._settle(publish.ALL_CALLS)

    async def unfollow(self, subscriber: Subscriber, call_id: str) -> None:
        """No longer this call; with the last one gone, none."""
        if call_id in subscriber.calls:
            subscriber.calls.discard(call_id)
            subscriber.end_replay(call_id)
            self._forget(subscriber, call_id)

    def follows_every_call(self, subscriber: Subscriber) -> bool:
        """Whether it has not chosen any call yet."""
        return subscriber in self._everywhere

    async def let_in(self, credential: Credential) -> Principal | None:
        """Who a credential lets in, by a read that begins now; nobody, if there is none."""
        return (await self._admissions.ask([credential])).get(credential)

    async def missed_of_all(self, came: Resumption) -> Missed:
        """What somebody lacks who comes back to the stream of every call, by a read that begins now."""
        return (await self._resumptions.ask([came]))[came]

    async def missed_of(self, came: Return) -> Missed:
        """What somebody lacks who comes back to a call, by a read that begins now."""
        return (await self._returns.ask([came]))[came]

    def replay(self, subscriber: Subscriber, call_id: str | None) -> Replay:
        """From now on live alerts of a call, or of every call, wait for what the subscriber has missed before."""
        replay = Replay(subscriber, self.standing, self._shelf)
        subscriber.let_pass_through(replay, call_id)
        return replay

    async def change(self, subscriber: Subscriber, principal: Principal) -> None:
        """The rights of a subscriber are others now; what it follows has been looked through by who says so."""
        if subscriber not in self._subscribers:
            return
        subscriber.principal = principal
        if principal.everything and subscriber not in self._see_all:
            self._see_all.add(subscriber)
            await self._serve(NO_CALL)
        elif not principal.everything:
            self._see_all.discard(subscriber)
            self._settle(publish.group_of(NO_CALL))

    async def remove(self, subscriber: Subscriber) -> None:
        """Lets a subscriber go."""
        subscriber.stop()
        if subscriber not in self._subscribers:
            return
        for members in (self._subscribers, self._everywhere, self._see_all):
            members.discard(subscriber)
        for call_id in tuple(subscriber.calls):
            self._forget(subscriber, call_id)
        self._settle(publish.ALL_CALLS)
        self._settle(publish.group_of(NO_CALL))

    def _forget(self, subscriber: Subscriber, call_id: str) -> None:
        group = publish.group_of(call_id)
        self._by_group[group].discard(subscriber)
        if not self._by_group[group]:
            del self._by_group[group]
        self._settle(group)

    def _settle(self, group: str) -> None:
        """Gives a group up if no subscriber needs it now; what is known about its calls would grow old."""
        if self._needs(group) or not self._membership.leave(group):
            return
        call_id = self._served.pop(group, None)
        if group == publish.ALL_CALLS:
            self._all_since = None
            self._forget_calls({*self._stands, *self._ahead, *self._holes} - set(self._served.values()))
        elif call_id is not None and self._all_since is None:
            self._forget_calls({call_id})

    def _forget_calls(self, call_ids: set[str]) -> None:
        for call_id in call_ids:
            self._stands.pop(call_id, None)
            self._ahead.pop(call_id, None)
            self._holes.pop(call_id, None)

    def _needs(self, group: str) -> bool:
        if group == publish.ALL_CALLS:
            return bool(self._everywhere)
        return group in self._by_group or (group == publish.group_of(NO_CALL) and bool(self._see_all))

    async def _serve(self, call_id: str) -> None:
        """From when this returns, no alert of the call is missed; what was sent before is history."""
        group = publish.group_of(call_id)
        self._served[group] = call_id
        await self._membership.join(group)
        if call_id not in self._stands:
            with _left_to_the_poll():
                found = await self._standings.ask([call_id])
                self._learn(call_id, found.get(call_id, Standing()))

    async def _serve_all(self) -> None:
        await self._membership.join(publish.ALL_CALLS)
        if self._all_since is None:
            with _left_to_the_poll():
                await self._begin_with_all()

    async def _begin_with_all(self) -> None:
        """Where every call stands that changed lately; the others' alerts were all stored before."""
        since, standings = (await self._lately.ask([repair.OVERLAP_MS]))[repair.OVERLAP_MS]
        if self._all_since is not None or not self._needs(publish.ALL_CALLS):
            return  # another who came at the same time has begun, or all have left
        for call_id, standing in standings.items():
            self._learn(call_id, standing)
        self._all_since = since
        for call_id in tuple(self._ahead):
            self._notice(call_id, self._ahead.pop(call_id))

    def _receive(self, message: dict[str, Any]) -> int:
        """A message of the layer, which may come late, twice, in any order or never."""
        alert = Published(**{name: value for name, value in message.items() if name != "type"})
        if self._is_next(alert):
            self._deliver(alert)
            return len(alert.body)
        self._notice(alert.call_id, Standing(alert.seq, alert.update_no))
        return 0

    def _is_next(self, alert: Published) -> bool:
        if alert.call_id in self._holes or not self._serves(alert.call_id):
            return False
        known = self._stands.get(alert.call_id)
        if known is None:
            return self._all_since is not None and Standing(alert.seq, alert.update_no) == Standing(1)
        if alert.update_no:
            return alert.update_no == known.update + 1 and alert.seq <= known.seq
        return alert.seq == known.seq + 1

    def _serves(self, call_id: str) -> bool:
        return (
            self._all_since is not None or self._needs(publish.ALL_CALLS) or publish.group_of(call_id) in self._served
        )

    def _learn(self, call_id: str, standing: Standing) -> None:
        """The database says where a call stands; of one that was not known, later alerts are to be handed over."""
        begins_here = self._all_since is None or standing == Standing()
        if call_id not in self._stands and begins_here and self._serves(call_id):
            self._remember(call_id, standing)
            standing = self._ahead.pop(call_id, standing)
        self._notice(call_id, standing)

    def _notice(self, call_id: str, standing: Standing) -> None:
        """A call has come at least this far. What was not handed over is a hole."""
        if not self._serves(call_id):
            return
        known, hole = self._stands.get(call_id), self._holes.get(call_id)
        if known is None and self._all_since is None:
            self._ahead[call_id] = standing.and_at_least(self._ahead.get(call_id, standing))
            return
        expected = hole.to if hole else known or Standing()
        if not expected.covers(standing):
            since = hole.stored_since if hole else (self._all_since or 0) if known is None else 0
            self._holes[call_id] = Hole(call_id, expected.and_at_least(standing), known or Standing(), since)
            self._hole.set()

    def _remember(self, call_id: str, standing: Standing) -> None:
        self._stands[call_id] = standing
        self._stands.move_to_end(call_id)
        if len(self._stands) > CALLS_REMEMBERED:
            oldest, stood = self._stands.popitem(last=False)
            if publish.group_of(oldest) in self._served:  # who follows it would miss what comes until it is read again
                self._stands[oldest] = stood

    def _deliver(self, alert: Published) -> None:
        """Hands the next alert of a call, or the next change of one, to everybody who wants it."""
        self._remember(alert.call_id, self.standing(alert.call_id).with_one_more(alert))
        hidden = alert.update_no or alert.alert_type in V1_HIDES
        for subscriber in self._wanting(alert.call_id, alert.team):
            if not hidden or subscriber.version > 1:
                subscriber.take(alert)

    def standing(self, call_id: str) -> Standing:
        """How far a call has been handed over; of one that nobody follows that is nothing."""
        return self._stands.get(call_id, Standing())

    def _wanting(self, call_id: str, team: int | None) -> list[Subscriber]:
        if call_id == NO_CALL:
            return list(self._see_all)
        everywhere = [one for one in self._everywhere if one.principal.sees(call_id, team)]
        return [*self._by_group.get(publish.group_of(call_id), ()), *everywhere]

    async def _poll(self) -> None:
        await _for_ever(self._look, POLL_S)

    async def _look(self) -> None:
        """One query: how far have the calls come that are served?"""
        if self._needs(publish.ALL_CALLS) and self._all_since is None:
            await self._begin_with_all()
        began = now_ms()
        if self._all_since is not None:
            known = await in_own_thread(repair.changed_since)(self._all_since)
        elif self._served:
            known = await in_own_thread(repair.standings)(list(self._served.values()))
        else:
            return
        for call_id, standing in known.items():
            self._learn(call_id, standing)
        if self._all_since is not None:
            self._all_since = max(self._all_since, began - repair.OVERLAP_MS)

    async def _repair(self) -> None:
        async def fill() -> None:
            await self._hole.wait()
            await self._fill()

        await _for_ever(fill, 0)

    async def _fill(self) -> None:
        """Reads what is missing and hands it over, until no hole is left."""
        while self._holes:
            holes = dict(islice(self._holes.items(), repair.MAX_CALLS))
            found = await in_own_thread(repair.missing)(holes)
            await self._hand_over([*found.alerts, *found.changes])
            for hole in holes.values():
                self._settle_hole(hole, found)
        self._hole.clear()

    async def _hand_over(self, found: list[Published]) -> None:
        handed_bytes = 0
        for alert in found:
            reached = Standing(alert.seq, alert.update_no)
            if alert.call_id in self._holes and not self.standing(alert.call_id).covers(reached):
                self._deliver(alert)
                handed_bytes += len(alert.body)
            if handed_bytes >= TURN_BYTES:
                handed_bytes = 0
                await asyncio.sleep(0)

    def _settle_hole(self, hole: Hole, found: repair.Missing) -> None:
        """Unless there is more to read: what was not found has been pruned, or changed again."""
        now = self._holes.get(hole.call_id)
        if now is None:
            return
        there = hole.to.and_at_least(found.standings.get(hole.call_id, hole.to))
        read = Standing(there.seq if found.all_alerts else 0, there.update if found.all_changes else 0)
        reached = self.standing(hole.call_id).and_at_least(read)
        self._remember(hole.call_id, reached)
        if reached.covers(now.to):
            del self._holes[hole.call_id]
        else:
            self._holes[hole.call_id] = Hole(hole.call_id, now.to, reached, hole.stored_since)

    async def drain(self, timeout_s: float) -> None:
        """Waits until what was stored has been written to the subscribers that read."""
        with _left_to_the_poll():
            async with asyncio.timeout(PUBLISHED_WITHIN_S):
                await publish.drain()
                await asyncio.sleep(0.05)  # what the layer holds is received in the next turns of the loop
                await self._look()
                await self._fill()
        waiting = [asyncio.ensure_future(subscriber.drain()) for subscriber in self._subscribers]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=timeout_s)
            for task in late:
                task.cancel()


@contextlib.contextmanager
def _left_to_the_poll() -> Iterator[None]:
    """What fails here is made up for by the poll."""
    try:
        yield
    except Exception:
        logger.exception("a subscriber's calls cannot be looked up yet")


async def _for_ever(work: Callable[[], Coroutine[Any, Any, None]], pause_s: float) -> None:
    """Repeats the work; an error is said once, and waited out."""
    failing = False
    while True:
        try:
            await work()
            failing = False
        except Exception:
            if not failing:
                logger.exception("what subscribers may have missed cannot be read; it is tried again")
            failing = True
            await asyncio.sleep(RETRY_S)
        await asyncio.sleep(pause_s)


_hub: Hub | None = None


def the_hub() -> Hub:
    """This process's hub, made on first use."""
    global _hub
    if _hub is None:
        _hub = Hub()
    return _hub

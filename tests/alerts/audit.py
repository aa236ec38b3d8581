"""What the tables have to say after any stream of reports, from however many writers: told from the rows alone."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from alerts.policy import NEVER_HELD_BACK

ALERTS = (
    "SELECT c.call_id, a.id, a.seq, a.type, a.kind, a.channel, a.severity, a.timestamp, a.suppressed_count,"
    " a.correlation_id, a.repeat_of FROM alerts_alert a JOIN alerts_call c ON c.id = a.call_id"
)
CALLS = "SELECT call_id, last_seq, cooldowns FROM alerts_call"
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Row:
    call_id: str
    id: UUID
    seq: int | None
    type: str
    kind: str
    channel: str
    severity: int
    timestamp: int
    suppressed_count: int
    correlation_id: UUID
    repeat_of: UUID | None

    @property
    def key(self) -> Key:
        return self.call_id, self.type, self.kind, self.channel


def audit(query: Callable[[str], Sequence[Any]], reported: Collection[UUID], cooldown_ms: int) -> None:
    """Asserts that every report is stored once, `seq` has no holes, nothing was held back but by the policy, every
    alert that was held back is counted on the next one sent of its key, or waits to be, and correlation is anchored."""
    rows = [
        Row(call_id, UUID(str(id_)), *rest, UUID(str(correlation_id)), repeat_of and UUID(str(repeat_of)))
        for call_id, id_, *rest, correlation_id, repeat_of in query(ALERTS)
    ]
    assert sorted(row.id for row in rows) == sorted(reported)
    waiting = {}
    for call_id, last_seq, cooldowns in query(CALLS):
        seqs = sorted(row.seq for row in rows if row.call_id == call_id and row.seq is not None)
        assert seqs == list(range(1, last_seq + 1))
        _audit_correlation([row for row in rows if row.call_id == call_id])
        for key, (_, _, _, count) in (json.loads(cooldowns) if isinstance(cooldowns, str) else cooldowns).items():
            waiting[call_id, *json.loads(key)] = count
    by_key: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        by_key[row.key].append(row)
    for key, alike in by_key.items():
        _audit_key(alike, waiting.get(key, 0), cooldown_ms)


def _audit_key(alike: list[Row], waiting: int, cooldown_ms: int) -> None:
    sent = sorted((row for row in alike if row.seq is not None), key=lambda row: row.seq or 0)
    repeats: dict[UUID, list[Row]] = {row.id: [] for row in sent}
    for row in alike:
        if row.seq is None:
            assert row.repeat_of is not None, "what is held back repeats one that was sent"
            repeats[row.repeat_of].append(row)
    for row in sent:
        for repeat in repeats[row.id]:
            assert row.type not in NEVER_HELD_BACK
            assert repeat.severity <= row.severity
            assert abs(repeat.timestamp - row.timestamp) < cooldown_ms
    if sent[0].type in NEVER_HELD_BACK:
        return
    for before, after in pairwise(sent):
        assert after.severity > before.severity or abs(after.timestamp - before.timestamp) >= cooldown_ms
        assert after.suppressed_count == len(repeats[before.id])
    assert waiting == len(repeats[sent[-1].id])


def _audit_correlation(of_call: list[Row]) -> None:
    """Each alert that was sent has the earliest one sent before it about its call, of the last ten seconds."""
    sent = sorted((row.timestamp, row.seq, row.id) for row in of_call if row.seq is not None)
    for row in of_call:
        window = [(at, seq, id_) for at, seq, id_ in sent if row.timestamp - 10_000 <= at <= row.timestamp]
        if not row.call_id:
            assert row.correlation_id == row.id
        elif row.seq is None:  # among which it was stored is not known
            assert row.correlation_id in {id_ for *_, id_ in window} | {row.id}
        else:
            earlier = [id_ for _, seq, id_ in window if seq < row.seq]
            assert row.correlation_id == (earlier or [row.id])[0]

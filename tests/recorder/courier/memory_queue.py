"""The queue of deliveries in memory, as strict as its protocol: what it is told twice, or about what was not claimed, fails the test."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from domain.deliveries import Attempt, Claimed, Counts, Dead, Delivered, Owed
from domain.errors import StoreUnavailable


@dataclass
class Row:
    number: int
    lane: str
    owed: Owed
    owed_at: int
    due: int
    span: object = None
    content: object = None
    event: object = None
    attempts: int = 0
    batch: str | None = None
    claimed: bool = False
    unreadable: str | None = None
    log: list = field(default_factory=list)

    @property
    def id(self):
        return self.span.id if self.span is not None else self.event.id


class MemoryQueue:
    def __init__(self, now) -> None:
        self._now = now
        self.rows: dict[str, dict[str, Row]] = defaultdict(dict)
        self.accepted, self.delivered = Counter(), Counter()
        self.refused = Counter()
        self.dead: dict[str, dict[str, Dead]] = defaultdict(dict)
        self.outcomes: dict[str, list] = defaultdict(list)
        self.away = False
        self.claims = 0
        self.beats = 0
        self.events = {}
        self._numbers = 0

    # What tests do.

    def owe(self, destination, span, content=None, *, lane="live", at=None, ruled=None, **owed):
        now = self._now() if at is None else at
        self._numbers += 1
        self.rows[destination][span.id] = Row(self._numbers, lane, Owed(destination, ruled, **owed), now, now, span, content)
        self.accepted[destination] += 1

    def check(self):
        """The invariant, for every destination."""
        for name in set(self.accepted) | set(self.delivered):
            assert self.accepted[name] == self.delivered[name] + len(self.rows[name]) + len(self.dead[name]), name

    def died(self, destination):
        return {id_: dead.kind for id_, dead in self.dead[destination].items()}

    # The protocol.

    def start_over(self):
        for rows in self.rows.values():
            for row in rows.values():
                row.claimed = False

    def claim(self, destination, lane, *, now, most, most_bytes, keep_batches=False, batch=""):
        self._here()
        self.claims += 1
        due = sorted(
            (row for row in self.rows[destination].values() if row.lane == lane and not row.claimed and row.due <= now),
            key=lambda row: row.number,
        )
        kept = [row for row in due if row.batch] if keep_batches else []
        if kept:
            taken = [row for row in due if row.batch == kept[0].batch]
        else:
            taken, size = [], 0
            for row in due[:most]:
                taken.append(row)
                size += 0 if row.content is None else len(row.content.request) + len(row.content.response)
                if size >= most_bytes:
                    break
            if keep_batches:
                for row in taken:
                    row.batch = batch
        for row in taken:
            row.claimed = True
        return [self._claimed(row) for row in taken]

    def claim_one(self, destination, id, *, now):  # noqa: A002, ARG002 - the port's
        self._here()
        row = self.rows[destination].get(id)
        if row is None or row.claimed:
            return None
        row.claimed = True
        return self._claimed(row)

    def finish(self, outcomes):
        self._here()
        for outcome in outcomes:
            claim = outcome.claim
            name = claim.owed.destination
            row = self.rows[name][(claim.span or claim.event).id]
            assert row.claimed, "finished without a claim"
            row.claimed = False
            row.log.append(Attempt(outcome.at, outcome.status, getattr(outcome, "error", None)))
            self.outcomes[name].append(outcome)
            if isinstance(outcome, Delivered):
                del self.rows[name][row.id]
                self.delivered[name] += 1
                self.refused[name] += outcome.refused
            elif isinstance(outcome, Dead):
                del self.rows[name][row.id]
                self.dead[name][row.id] = outcome
            else:
                row.due = outcome.due
                row.attempts += outcome.counts
        self.check()

    def put_back(self, claims):
        self._here()
        for claim in claims:
            row = self.rows[claim.owed.destination][(claim.span or claim.event).id]
            assert row.claimed, "put back without a claim"
            row.claimed = False

    def next_due(self, destination, lane, *, now):
        self._here()
        dues = [row.due for row in self.rows[destination].values() if row.lane == lane and not row.claimed]
        return max(min(dues), now) if dues else None

    def beat(self, *, now):  # noqa: ARG002 - the port's
        self._here()
        self.beats += 1

    def counts(self):
        self._here()
        return {
            name: Counts(
                self.accepted[name],
                self.delivered[name],
                len(self.rows[name]),
                len(self.dead[name]),
                self.refused[name],
                min((row.owed_at for row in self.rows[name].values()), default=None),
            )
            for name in self.accepted
        }

    def owe_event(self, event, destinations):
        self._here()
        if event.id in self.events:
            return False
        self.events[event.id] = event
        for owed in destinations:
            self._numbers += 1
            now = self._now()
            self.rows[owed.destination][event.id] = Row(self._numbers, "live", owed, now, now, event=event)
            self.accepted[owed.destination] += 1
        return True

    def divert(self, destination, *, to, now, most):
        self._here()
        moving = [row for row in self.rows[destination].values() if not row.claimed and row.owed.otherwise in to][:most]
        for row in moving:
            other = row.owed.otherwise
            del self.rows[destination][row.id]
            self.accepted[destination] -= 1
            self.accepted[other] += 1
            self.rows[other][row.id] = replace(
                row, owed=replace(row.owed, destination=other, otherwise=None), due=now, attempts=0
            )
        self.check()
        return len(moving)

    def _claimed(self, row):
        return Claimed(
            row.number, row.lane, row.owed, row.owed_at, row.attempts, row.span, row.content, row.event, row.batch, row.unreadable
        )

    def _here(self):
        if self.away:
            raise StoreUnavailable("the store is away")

"""Whatever is done to deliveries in whatever order: accepted is delivered, pending and dead together, and nobody has what another one has."""

from collections import Counter
from hashlib import md5
from itertools import count
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from domain.deliveries import Claimed, Owed
from storage.database import Database
from storage.deliveries import DeliveryStore
from storage.deliveries.offices import LONGEST_STEP, SILENCE
from storage.deliveries.totals import Totals
from storage.spans import SpanStore
from tests.storage.owed import NOW, a_store, an_event, claim, dead, delivered, later, save
from tests.storage.samples import SECOND

NAMES = ["a", "b", "c"]
TABLES = ("deliveries", "delivery_totals", "dead_payloads", "events", "offices", "calls", "contents")
names = st.sampled_from(NAMES)
few = st.integers(1, 4)
lanes = st.sampled_from(["live", "replay"])
Place = tuple[str, str]


class Deliveries(RuleBasedStateMachine):
    """Deliveries, and what they must be like. `held` is what the office that lives has, `stale` what is no longer its own."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        with self.database.writing() as connection:
            for table in TABLES:
                connection.execute(text(f"DELETE FROM {table}"))
        self.spans = SpanStore(self.database, now=lambda: NOW)
        self.offices = 0
        self.store = self.new_office()
        self.now = NOW
        self.states: dict[Place, str] = {}
        self.otherwise: dict[Place, str] = {}
        self.totals = {name: Totals() for name in NAMES}
        self.saved: list[Any] = []
        # Not random: what is drawn from them must be the same when an example is tried again.
        self.ids = (md5(b"%d" % number, usedforsecurity=False).hexdigest() for number in count())
        self.held: dict[Place, Claimed] = {}
        self.stale: list[Claimed] = []
        self.events = 0

    def new_office(self) -> DeliveryStore:
        self.offices += 1
        store = a_store(self.database, f"office-{self.offices}")
        store.beat(now=NOW)
        return store

    def owe(self, place: Place) -> None:
        self.states[place] = "pending"
        self.totals[place[0]].accepted += 1

    def end(self, place: Place, state: str) -> None:
        self.states[place] = state
        total = self.totals[place[0]]
        total.delivered += state == "delivered"
        total.dead += state == "dead"
        self.let_go(place)

    def let_go(self, place: Place) -> None:
        if place in self.held:
            self.stale.append(self.held.pop(place))

    @rule(number=few, to=st.lists(names, unique=True, min_size=1), other=st.booleans(), bodies=st.booleans())
    def save(self, number: int, to: list[str], other: bool, bodies: bool) -> None:
        owed = [Owed(name, otherwise="c" if other and name == "a" else None) for name in to]
        for span in save(self.database, number, owed=owed, bodies=bodies, first=len(self.saved), ids=self.ids):
            self.saved.append(span)
            for one in owed:
                self.owe((one.destination, span.id))
                if one.otherwise:
                    self.otherwise[one.destination, span.id] = one.otherwise

    @precondition(lambda self: self.saved)
    @rule(to=names)
    def save_again(self, to: str) -> None:
        self.spans.save([(span, None) for span in self.saved], {}, {span.id: [Owed(to)] for span in self.saved})

    @rule(to=st.lists(names, unique=True, min_size=1))
    def happen(self, to: list[str]) -> None:
        self.events += 1
        event = an_event(f"event-{self.events}")
        assert self.store.owe_event(event, [Owed(name) for name in to])
        assert not self.store.owe_event(event, [Owed(name) for name in NAMES])
        for name in to:
            self.owe((name, event.id))

    @rule(name=names, lane=lanes, most=few, keep=st.booleans())
    def claim(self, name: str, lane: str, most: int, keep: bool) -> None:
        batch = f"batch-{len(self.held)}"
        claims = claim(self.store, name, lane, now=self.now, most=most, keep_batches=keep, batch=batch)
        assert [one.number for one in claims] == sorted({one.number for one in claims})
        assert keep or len(claims) <= most
        assert len({one.batch for one in claims}) <= 1
        for one in claims:
            self.take(name, one)

    def take(self, name: str, one: Claimed) -> None:
        assert one.unreadable is None
        assert one.span is None or one.span in self.saved
        place = name, one.span.id if one.span else one.event.id if one.event else ""
        assert self.states[place] == "pending"
        assert place not in self.held
        self.held[place] = one

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def claim_one(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.states)))
        one = self.store.claim_one(*place, now=self.now)
        assert (one is not None) == (self.states[place] == "pending" and place not in self.held)
        if one is not None:
            self.take(place[0], one)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        outcomes: list[Any] = []
        for place, one in list(self.held.items()):
            match data.draw(st.sampled_from(["delivered", "later", "dead", "back", "keep"])):
                case "delivered":
                    outcomes += delivered([one])
                    self.end(place, "delivered")
                case "dead":
                    outcomes += dead([one], payload=b"x")
                    self.end(place, "dead")
                case "later":
                    outcomes += later([one], after=data.draw(st.integers(0, 10)) * SECOND)
                    self.let_go(place)
                case "back":
                    self.store.put_back([one])
                    self.let_go(place)
                case _:
                    pass
        self.store.finish(outcomes)

    @precondition(lambda self: self.stale)
    @rule()
    def finish_again(self) -> None:
        """Outcomes of claims that are finished or were taken over; some of them are held again, under the same number, so those are left out."""
        held = {(one.owed.destination, one.number) for one in self.held.values()}
        old = [one for one in self.stale if (one.owed.destination, one.number) not in held]
        self.store.finish(dead(old))
        self.store.put_back(old)

    @rule()
    def crash(self) -> None:
        self.stale += self.held.values()
        self.held.clear()
        self.store = self.new_office()
        if not self.database.is_sqlite:
            for second in range(SILENCE // LONGEST_STEP + 1):
                self.store.beat(now=NOW + second * LONGEST_STEP)

    @rule()
    def start_over(self) -> None:
        self.stale += self.held.values()
        self.held.clear()
        self.store.start_over()
        self.store.beat(now=self.now)

    @rule()
    def beat(self) -> None:
        self.store.beat(now=self.now)

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(name=names, most=few)
    def retry(self, name: str, most: int) -> None:
        there = [place for place in self.in_order(name) if self.states[place] == "dead"]
        assert self.store.retry_dead(name, limit=most) == len(there[:most])
        for place in there[:most]:
            self.states[place] = "pending"
            self.totals[name].dead -= 1

    @rule(name=names, most=few)
    def discard(self, name: str, most: int) -> None:
        there = [place for place in self.in_order(name) if self.states[place] == "dead"]
        assert self.store.discard(name, limit=most) == len(there[:most])
        for place in there[:most]:
            del self.states[place]
            self.totals[name].gone += 1

    def in_order(self, name: str) -> list[Place]:
        """Return the places of a destination in the order of their numbers."""
        events = [(name, f"event-{number}") for number in range(1, self.events + 1)]
        return [place for place in (*events, *((name, span.id) for span in self.saved)) if place in self.states]

    @precondition(lambda self: self.states)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.states)))
        pending = self.states[place] == "pending"
        assert self.store.discard(place[0], state="pending", ids=[place[1]]) == pending
        if pending:
            self.end(place, "dead")

    @precondition(lambda self: self.saved)
    @rule(data=st.data(), name=names, missing=st.booleans())
    def replay(self, data: st.DataObject, name: str, missing: bool) -> None:
        spans = data.draw(st.lists(st.sampled_from([span.id for span in self.saved]), unique=True, max_size=5))
        expected = 0
        for place in [(name, one) for one in spans]:
            state = self.states.get(place)
            if state == "dead":
                self.totals[name].dead -= 1
            elif state is None or (state == "delivered" and not missing):
                self.totals[name].accepted += 1
            else:
                continue
            self.states[place] = "pending"
            self.otherwise.pop(place, None)
            expected += 1
        assert self.store.replay(name, spans, Owed(name), only_missing=missing) == expected

    @rule()
    def divert(self) -> None:
        moved = [
            place
            for place, other in self.otherwise.items()
            if other == "c" and self.states.get(place) == "pending" and place not in self.held
        ]
        assert self.store.divert("a", to=["c"], now=self.now, most=100) == len(moved)
        for place in moved:
            del self.states[place]
            del self.otherwise[place]
            self.totals["a"].accepted -= 1
            if ("c", place[1]) not in self.states:
                self.owe(("c", place[1]))

    @precondition(lambda self: self.saved)
    @rule()
    def prune(self) -> None:
        while self.spans.prune(content_before=2**62, spans_before=2**62, most=3):
            pass
        pending = {id_ for (_, id_), state in self.states.items() if state == "pending"}
        self.forget({id_ for _, id_ in self.states} - pending)
        self.saved = [span for span in self.saved if span.id in pending]

    @precondition(lambda self: self.saved)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        span = data.draw(st.sampled_from(self.saved).map(lambda one: one.id))
        place: int | None = 0
        while place is not None:
            place = self.spans.erase(lambda one: one.id == span, after=place).place
        self.forget({span})
        self.saved = [one for one in self.saved if one.id != span]

    def forget(self, gone: set[str]) -> None:
        for place in [place for place in self.states if place[1] in gone]:
            if self.states[place] == "pending":
                self.end(place, "dead")
            self.totals[place[0]].gone += self.states.pop(place) == "dead"

    @invariant()
    def totals_hold(self) -> None:
        assert self.store.discrepancies() == []
        totals = self.store.totals()
        assert {name: totals.get(name, Totals()) for name in NAMES} == self.totals
        pending = Counter(name for (name, _), state in self.states.items() if state == "pending")
        assert {name: one.pending for name, one in self.store.counts().items() if one.pending} == pending

    def teardown(self) -> None:
        """In the end everything that is pending can be delivered, each once."""
        self.store.put_back(list(self.held.values()))
        expected = {place for place, state in self.states.items() if state == "pending"}
        self.held.clear()
        for name in NAMES:
            for lane in ("live", "replay"):
                claims = claim(self.store, name, lane, now=self.now + 100 * SECOND)
                for one in claims:
                    self.take(name, one)
                self.store.finish(delivered(claims))
        assert set(self.held) == expected
        assert all(one.pending == 0 for one in self.store.counts().values())


def test_accepted_is_delivered_pending_and_dead_whatever_happens(database: Database) -> None:
    machine = type("OnDatabase", (Deliveries,), {"database": database})
    examples = 60 if database.is_sqlite else 15
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=quiet)
    )

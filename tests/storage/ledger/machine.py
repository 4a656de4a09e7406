"""The ledger as a state machine, beside a plain model of it and a provider that keeps its own bill.

Workers hold, are topped up, send, finish, crash and come late, in any order; clocks jump both ways; leases run out while their workers live; the
ledger is lost and made anew from what the store and the journal know. After each step the ledger says what the model says, and the
invariants I1 to I6 of `reference/reliability.md` section 4.3 hold.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.ledger import Claim, Held, Refused, Standing
from tests.storage.ledger.conftest import LEASE, NOW, Ledgers

WINDOW = 600
LIMITS = {"key": 60, "project": 90, "all": 120}
AMOUNTS = st.sampled_from([0, 1, 5, 10, 15, 20, 25, 30])
PICK = st.integers(0, 60)
SEVERAL = st.lists(st.tuples(st.integers(0, 250), AMOUNTS), min_size=1, max_size=8)


@dataclass
class Call:
    """One call as the world sees it. `amount` is held on each of the three budgets."""

    name: str
    counters: tuple[str, ...]
    amount: int
    first: int
    lease: float
    state: str = "open"
    sent: bool = False
    billed: int = 0
    crashed: bool = False
    settled: int | None = None
    whole: bool = True


class LedgerMachine(RuleBasedStateMachine):
    """Budgets of keys in projects in one for all, with windows of ten minutes, and a number of workers with at most one call each."""

    ledgers: Ledgers
    runner: asyncio.Runner
    workers: int

    def __init__(self) -> None:
        super().__init__()
        self.ledgers.lose()
        self.ledgers.office.rebuild([], {}, now=NOW, lease=LEASE)
        self.now = self.latest = NOW
        self.number = 0
        self.calls: dict[str, Call] = {}
        self.busy: dict[int, Call] = {}
        self.spent: Counter[str] = Counter()

    # What the model says

    def held_on(self, counter: str) -> int:
        return sum(call.amount for call in self.calls.values() if call.state == "open" and counter in call.counters)

    def charged_on(self, counter: str) -> int:
        return sum(call.amount for call in self.calls.values() if call.state == "charged" and counter in call.counters)

    def spent_on(self, counter: str) -> int:
        return self.spent[counter] + self.charged_on(counter)

    def fits(self, counters: tuple[str, ...], amount: int) -> str | None:
        """Return the first counter with too little room."""
        for counter, limit in zip(counters, LIMITS.values(), strict=True):
            if self.spent_on(counter) + self.held_on(counter) + amount > limit:
                return counter
        return None

    def claims(self, call: Call, amount: int) -> list[Claim]:
        return [
            Claim(counter, amount, limit, int(NOW) + 10**6) for counter, limit in zip(call.counters, LIMITS.values(), strict=True)
        ]

    def run(self, awaitable):
        return self.runner.run(awaitable)

    def some(self, number: int, *states: str, alive: bool | None = None) -> Call | None:
        """Pick one of the calls in these states."""
        found = [call for call in self.calls.values() if call.state in states and (alive is None or call.crashed is not alive)]
        return found[number % len(found)] if found else None

    # What workers do

    @initialize(asked=SEVERAL)
    def begin_with(self, asked: list[tuple[int, int]]) -> None:
        self.begin_several(asked)

    @rule(asked=SEVERAL)
    def begin_several(self, asked: list[tuple[int, int]]) -> None:
        for worker, amount in asked:
            if worker % self.workers not in self.busy:
                self.begin(worker % self.workers, amount)

    def begin(self, worker: int, amount: int) -> None:
        start = int(self.now // WINDOW) * WINDOW
        self.number += 1
        names = (f"key-{worker % 4}", f"project-{worker % 2}", "all")
        counters = tuple(f"{name}@usd:{start}+{WINDOW}" for name in names)
        call = Call(f"call-{self.number}", counters, amount, amount, self.now + LEASE)
        misfit = self.fits(counters, amount)
        before = [Standing(self.spent_on(counter), self.held_on(counter)) for counter in counters]
        answer = self.run(self.ledgers.gate.hold(call.name, self.claims(call, amount), now=self.now, lease=LEASE))
        if misfit is not None:
            place = counters.index(misfit)
            assert answer == Refused(self.claims(call, amount)[place], before[place])
            return
        self.calls[call.name] = self.busy[worker] = call
        assert answer == Held(tuple(Standing(one.spent, one.held + amount) for one in before))

    @precondition(lambda self: self.some(0, "open", "charged"))
    @rule(number=PICK)
    def hold_again(self, number: int) -> None:
        call = self.some(number, "open", "charged")
        if call is not None:
            answer = self.run(self.ledgers.gate.hold(call.name, self.claims(call, call.first), now=self.now, lease=LEASE))
            assert isinstance(answer, Held)

    @precondition(lambda self: self.some(0, "open", "charged", "settled", alive=True))
    @rule(number=PICK, more=AMOUNTS)
    def top_up(self, number: int, more: int) -> None:
        call = self.some(number, "open", "charged", "settled", alive=True)
        if call is None:
            return
        misfit = "closed" if call.state != "open" else self.fits(call.counters, more)
        answer = self.run(self.ledgers.gate.top_up(call.name, [more] * 3, now=self.now, lease=LEASE))
        assert isinstance(answer, Held if misfit is None else Refused)
        if misfit is None:
            call.amount += more
            call.lease = self.now + LEASE

    @precondition(lambda self: self.some(0, "open", "charged", alive=True))
    @rule(number=PICK, share=st.floats(0, 1))
    def send(self, number: int, share: float) -> None:
        """The provider works, and bills no more than what is held by then."""
        call = self.some(number, "open", "charged", alive=True)
        if call is not None:
            call.sent = True
            call.billed = max(call.billed, int(call.amount * share))

    @precondition(lambda self: self.some(0, "open", "charged"))
    @rule(number=PICK)
    def finish(self, number: int) -> None:
        """Settle with the truth, in time or late, also for a worker that crashed: its journal is read all the same."""
        call = self.some(number, "open", "charged")
        if call is not None:
            assert self.ledgers.office.settle({call.name: [call.billed] * 3}, now=self.now) == []
            self.settled(call, call.billed)

    @precondition(lambda self: self.some(0, "open", "charged", alive=False))
    @rule(number=PICK)
    def finish_at_hold(self, number: int) -> None:
        """Nobody knows the truth."""
        call = self.some(number, "open", "charged", alive=False)
        if call is not None:
            held = self.ledgers.office.held([call.name])[call.name]
            assert held == (call.amount,) * 3
            self.ledgers.office.settle({call.name: held}, now=self.now)
            self.settled(call, call.amount)

    def settled(self, call: Call, amount: int) -> None:
        call.state, call.settled = "settled", amount
        for counter in call.counters:
            self.spent[counter] += amount
        self.free(call)

    def free(self, call: Call) -> None:
        self.busy = {worker: other for worker, other in self.busy.items() if other is not call}

    @precondition(lambda self: self.some(0, "settled", "released"))
    @rule(number=PICK)
    def settle_twice(self, number: int) -> None:
        call = self.some(number, "settled", "released")
        if call is not None:
            assert self.ledgers.office.settle({call.name: [25] * 3}, now=self.now) == [call.name]

    @precondition(lambda self: self.some(0, "open", "charged", alive=True))
    @rule(number=PICK)
    def release(self, number: int) -> None:
        """Give back what provably never reached a provider."""
        call = self.some(number, "open", "charged", alive=True)
        if call is None or call.sent:
            return
        self.run(self.ledgers.gate.release(call.name, now=self.now))
        if call.state == "open":
            call.state = "released"
            self.free(call)

    @precondition(lambda self: self.some(0, "open", "charged", alive=True))
    @rule(number=PICK)
    def crash(self, number: int) -> None:
        """A worker forgets everything; what it sent is billed all the same."""
        call = self.some(number, "open", "charged", alive=True)
        if call is not None:
            call.crashed = True
            self.free(call)

    @precondition(lambda self: self.some(0, "open", "charged", alive=True))
    @rule()
    def renew(self) -> None:
        names = [call.name for call in self.calls.values() if not call.crashed and call.state in {"open", "charged"}]
        missing = self.run(self.ledgers.gate.renew(names, now=self.now, lease=LEASE))
        assert set(missing) == {name for name in names if self.calls[name].state == "charged" or not self.calls[name].whole}
        for name in names:
            if self.calls[name].state == "open":
                self.calls[name].lease = self.now + LEASE
        for name in missing:
            self.resume(self.calls[name])

    def resume(self, call: Call) -> None:
        self.run(self.ledgers.gate.resume(call.name, self.claims(call, call.amount), now=self.now, lease=LEASE))
        call.whole = True

    # What the world does

    @rule(seconds=st.sampled_from([1, 40, 40, 61, 300, 601, 4000, -1, -90, -601]))
    def time_passes(self, seconds: int) -> None:
        """Clocks jump, both ways."""
        self.now += seconds
        self.latest = max(self.latest, self.now)

    @rule()
    def expire(self) -> None:
        late = {call.name for call in self.calls.values() if call.state == "open" and call.lease < self.now}
        assert set(self.ledgers.office.expire(now=self.now)) == late
        for name in late:
            self.calls[name].state = "charged"

    @rule(seconds=st.sampled_from([61, 120]))
    def leases_run_out(self, seconds: int) -> None:
        self.time_passes(seconds)
        self.expire()

    @precondition(lambda self: len(self.calls) > 2)
    @rule()
    def lose_the_ledger(self) -> None:
        """The store knows what was settled, the journal the calls without an end and what they held at first, the gates the rest."""
        self.ledgers.lose()
        sums = [Claim(counter, amount, None) for counter, amount in self.spent.items()]
        unsettled = [call for call in self.calls.values() if call.state in {"open", "charged"}]
        holds = {call.name: self.claims(call, call.amount if call.crashed else call.first) for call in unsettled}
        assert self.ledgers.office.rebuild(sums, holds, now=self.now, lease=LEASE)
        for call in unsettled:
            call.state, call.lease, call.whole = "open", self.now + LEASE, call.crashed
        self.renew()

    # What always holds

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        counters = sorted({counter for call in self.calls.values() for counter in call.counters})
        standings = self.ledgers.office.standings(counters, now=self.now)
        billed: Counter[str] = Counter()
        for call in self.calls.values():
            for counter in call.counters:
                billed[counter] += call.billed
        for counter in counters:
            found = standings.get(counter, Standing(0, 0))
            assert found == Standing(self.spent_on(counter), self.held_on(counter))
            assert found.held >= 0  # I1, which the model says too
            assert found.spent + found.held <= LIMITS[counter.partition("@")[0].partition("-")[0]]  # I2
            assert billed[counter] <= found.spent + found.held  # I4, at every instant, so billed is within the limit too

    def teardown(self) -> None:
        """Every hold ends within its lease once all workers are dead (I6), and what is spent is then no less than what was billed (I4)."""
        after = max([self.latest, *(call.lease for call in self.calls.values())]) + 1
        while self.ledgers.office.expire(now=after, most=7):
            pass
        for call in self.calls.values():
            call.state = "charged" if call.state == "open" else call.state
        self.the_ledger_says_what_the_model_says()
        assert sum(self.held_on(counter) for call in self.calls.values() for counter in call.counters) == 0

"""The ledger in memory: for tests, and the plainest statement of what the others do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Literal

from domain.ledger import Claim, Held, LedgerLost, LedgerUnavailable, Refused, Standing, Tally
from storage.ledger.common import STAYS_OUT, closed, forget_at, summed


@dataclass(slots=True)
class _Cell:
    """One part of one counter."""

    settled: int = 0
    charged: int = 0
    held: int = 0
    rolling: int = 0
    forget_at: int | None = None


@dataclass(slots=True)
class _Hold:
    """What is held for a call, claim by claim."""

    claims: list[Claim]
    lease: float
    state: Literal["open", "remade", "charged", "gone"] = "open"
    forget_at: float | None = None
    amounts: list[int] = field(default_factory=list)


class MemoryLedger:
    """A `HoldingLedger` and a `SettlingLedger` for one thread of one process. Nothing here awaits, so each method is one step."""

    def __init__(self, *, lost: bool = False) -> None:
        """Begin empty; with `lost`, as a ledger that has to be rebuilt."""
        self._lost = lost
        self._cells: dict[tuple[str, int], _Cell] = {}
        self._holds: dict[str, _Hold] = {}

    def lose(self) -> None:
        """Forget everything."""
        self._lost = True
        self._cells.clear()
        self._holds.clear()

    async def hold(self, hold: str, claims: Sequence[Claim], *, now: float, lease: float) -> Held | Refused:
        """See `HoldingLedger`."""
        self._check()
        known = self._holds.get(hold)
        if known is not None and known.state == "gone":
            raise LedgerUnavailable("this hold was released before it was made")
        if known is not None:
            return Held(self._standings(known.claims))
        refused = self._add(claims, [claim.amount for claim in claims])
        if refused is not None:
            return refused
        amounts = [claim.amount for claim in claims]
        self._holds[hold] = _Hold(list(claims), now + lease, forget_at=forget_at(claims, now), amounts=amounts)
        return Held(self._standings(claims))

    async def top_up(self, hold: str, amounts: Sequence[int], *, now: float, lease: float) -> Held | Refused:
        """See `HoldingLedger`."""
        self._check()
        known = self._holds.get(hold)
        if known is None or not _is_open(known):
            return closed(known.claims if known else ())
        refused = self._add(known.claims, amounts)
        if refused is not None:
            return refused
        known.amounts = [amount + more for amount, more in zip(known.amounts, amounts, strict=True)]
        known.lease = now + lease
        return Held(self._standings(known.claims))

    async def renew(self, holds: Sequence[str], *, now: float, lease: float) -> Sequence[str]:
        """See `HoldingLedger`."""
        self._check()
        incomplete = []
        for hold in holds:
            known = self._holds.get(hold)
            if known is None or known.state != "open":
                incomplete.append(hold)
            if known is not None and _is_open(known):
                known.lease = now + lease
        return incomplete

    async def resume(self, hold: str, claims: Sequence[Claim], *, now: float, lease: float) -> None:
        """See `HoldingLedger`."""
        self._check()
        known = self._holds.get(hold)
        if known is None:
            known = _Hold(list(claims), now + lease, "remade", forget_at(claims, now), [0] * len(claims))
            self._holds[hold] = known
        if known.state == "remade":
            self._complete(known, claims)

    async def release(self, hold: str, *, now: float) -> None:
        """See `HoldingLedger`."""
        self._check()
        known = self._holds.get(hold)
        if known is None:
            self._holds[hold] = _Hold([], 0, "gone", now + STAYS_OUT)
        elif _is_open(known):
            self._close(hold, known, None)

    def settle(self, settlements: Mapping[str, Sequence[int]], *, now: float) -> Sequence[str]:
        """See `SettlingLedger`."""
        del now
        self._check()
        unknown = []
        for hold, amounts in settlements.items():
            known = self._holds.get(hold)
            if known is None or known.state == "gone":
                unknown.append(hold)
            else:
                self._close(hold, known, amounts)
        return unknown

    def expire(self, *, now: float, most: int = 1000) -> Sequence[str]:
        """See `SettlingLedger`."""
        self._check()
        late = [name for name, hold in self._holds.items() if _is_open(hold) and hold.lease < now][:most]
        for name in late:
            hold = self._holds[name]
            hold.state = "charged"
            for claim, amount in zip(hold.claims, hold.amounts, strict=True):
                cell = self._cell(claim)
                cell.held -= amount
                cell.charged += amount
        return late

    def held(self, holds: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
        """See `SettlingLedger`."""
        self._check()
        known = {name: self._holds[name] for name in holds if name in self._holds}
        return {name: tuple(hold.amounts) for name, hold in known.items() if hold.state != "gone"}

    def standings(self, counters: Sequence[str], *, now: float | None = None) -> Mapping[str, Standing]:
        """See `SettlingLedger`."""
        self._check()
        at = time() if now is None else now
        rows = [(name, part, cell.rolling, self._tally(cell)) for (name, part), cell in self._cells.items() if name in counters]
        return summed(rows, at)

    def tallies(self, counters: Sequence[str]) -> Mapping[tuple[str, int], Tally]:
        """See `SettlingLedger`."""
        self._check()
        return {key: self._tally(cell) for key, cell in self._cells.items() if key[0] in counters}

    def charge(self, entry: str, claims: Sequence[Claim], *, now: float) -> None:
        """See `SettlingLedger`."""
        self._check()
        if entry in self._holds:
            return
        self._holds[entry] = _Hold([], 0, "gone", forget_at(claims, now))
        for claim in claims:
            self._cell(claim).settled += claim.amount

    def raise_to(self, least: Sequence[Claim], *, now: float) -> int:
        """See `SettlingLedger`."""
        del now
        self._check()
        raised = 0
        for claim in least:
            cell = self._cell(claim)
            missing = max(claim.amount - cell.settled, 0)
            cell.settled += missing
            raised += missing
        return raised

    def lower(self, excess: Sequence[Claim], seen: Sequence[int], *, now: float) -> int:
        """See `SettlingLedger`."""
        del now
        self._check()
        lowered = 0
        for claim, settled in zip(excess, seen, strict=True):
            cell = self._cells.get((claim.counter, claim.part))
            if cell is not None and cell.settled == settled:
                cell.settled -= claim.amount
                lowered += claim.amount
        return lowered

    def rebuild(self, settled: Sequence[Claim], holds: Mapping[str, Sequence[Claim]], *, now: float, lease: float) -> bool:
        """See `SettlingLedger`."""
        if not self._lost:
            return False
        self._lost = False
        self.raise_to(settled, now=now)
        for name, claims in holds.items():
            self._holds[name] = _Hold(
                list(claims), now + lease, "remade", forget_at=forget_at(claims, now), amounts=[claim.amount for claim in claims]
            )
            for claim in claims:
                self._cell(claim).held += claim.amount
        return True

    def forget(self, *, now: float, most: int = 1000) -> int:
        """See `SettlingLedger`."""
        self._check()
        holds = [
            name
            for name, hold in self._holds.items()
            if not _is_open(hold) and hold.forget_at is not None and hold.forget_at < now
        ][:most]
        for name in holds:
            del self._holds[name]
        cells = [
            key for key, cell in self._cells.items() if cell.forget_at is not None and cell.forget_at < now and not cell.held
        ][:most]
        for key in cells:
            del self._cells[key]
        return len(holds) + len(cells)

    def _check(self) -> None:
        if self._lost:
            raise LedgerLost("the ledger was lost, and is not yet made anew")

    def _cell(self, claim: Claim) -> _Cell:
        cell = self._cells.setdefault((claim.counter, claim.part), _Cell(rolling=claim.rolling))
        cell.forget_at = claim.forget_at
        return cell

    def _tally(self, cell: _Cell) -> Tally:
        return Tally(cell.settled, cell.charged, cell.held)

    def _live(self, claim: Claim) -> Iterator[_Cell]:
        """Return the cells that count for a claim."""
        if not claim.rolling:
            cell = self._cells.get((claim.counter, claim.part))
            return iter(()) if cell is None else iter((cell,))
        return (cell for (name, part), cell in self._cells.items() if name == claim.counter and part >= claim.first_part)

    def _standings(self, claims: Sequence[Claim]) -> tuple[Standing, ...]:
        return tuple(self._standing(claim) for claim in claims)

    def _standing(self, claim: Claim) -> Standing:
        cells = list(self._live(claim))
        return Standing(sum(cell.settled + cell.charged for cell in cells), sum(cell.held for cell in cells))

    def _add(self, claims: Sequence[Claim], amounts: Sequence[int]) -> Refused | None:
        """Hold these amounts; where one does not fit, none."""
        for place, (claim, amount) in enumerate(zip(claims, amounts, strict=True)):
            standing = self._standing(claim)
            if claim.limit is not None and standing.spent + standing.held + amount > claim.limit:
                for earlier, added in zip(claims[:place], amounts, strict=False):
                    self._cell(earlier).held -= added
                return Refused(claim, self._standing(claim))
            self._cell(claim).held += amount
        return None

    def _complete(self, hold: _Hold, claims: Sequence[Claim]) -> None:
        """Hold what the ledger that was made anew does not know of."""
        for place, claim in enumerate(claims):
            missing = max(claim.amount - hold.amounts[place], 0)
            hold.amounts[place] += missing
            self._cell(claim).held += missing
        hold.state = "open"

    def _close(self, name: str, hold: _Hold, actual: Sequence[int] | None) -> None:
        """Take a hold out; `actual` is what takes its place."""
        for place, (claim, amount) in enumerate(zip(hold.claims, hold.amounts, strict=True)):
            cell = self._cell(claim)
            if _is_open(hold):
                cell.held -= amount
            else:
                cell.charged -= amount
            cell.settled += 0 if actual is None else actual[place]
        del self._holds[name]


def _is_open(hold: _Hold) -> bool:
    return hold.state in {"open", "remade"}

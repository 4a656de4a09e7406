"""What may be spent while the ledger is away: a slice of each budget, leased before that happens, so that nobody else has it.

A gate leases at most one slice for a counter, of one part in a hundred of what is left or four calls, whichever is more, and never more than
one part in ten. When the ledger is back, the calls that lived on a slice are held by themselves, and the slice is given back after that.
"""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from domain.ledger import Claim, HoldingLedger, LedgerUnavailable, Refused, Standing
from gateway.budgets.in_force import Applied

log = logging.getLogger("faregate.gate")

MOST_SLICES = 256
SHARE, MOST_SHARE, CALLS = 100, 10, 4
IDLE_SECONDS = 600.0
LEASE_SECONDS = 60.0


@dataclass(slots=True)
class _Slice:
    """A slice of one counter: `left` of `claim.amount` is not spent. `hold` is None until it is leased."""

    claim: Claim
    left: int
    seen_at: float
    hold: str | None = None


class Emergency:
    """The slices of one gate process."""

    def __init__(self, name: str) -> None:
        """`name` is this gate's own: no other process has it."""
        self._name = name
        self._slices: OrderedDict[str, _Slice] = OrderedDict()
        self._number = 0
        self._now = 0.0

    def note(self, applied: Sequence[Applied], standings: Sequence[Standing]) -> None:
        """Remember which counters are in use, and how large a slice of each is worth having."""
        for one, standing in zip(applied, standings, strict=False):
            if one.budget.when_ledger_is_down != "slice" or one.budget.mode == "soft":
                continue
            claim = one.claim(0, limit=one.limit)
            known = self._slices.get(claim.counter)
            if known is not None:
                known.seen_at = self._now
                self._slices.move_to_end(claim.counter)
                continue
            size = _size(one.limit - standing.spent - standing.held, standing.held)
            if size > 0 and len(self._slices) < MOST_SLICES:
                self._slices[claim.counter] = _Slice(one.claim(size, limit=one.limit), size, self._now)

    def spend(self, one: Applied, amount: int) -> bool:
        """Take `amount` from the slice of a budget; return whether there was so much."""
        found = self._slices.get(one.claim(0, limit=None).counter)
        if found is None or found.hold is None or found.left < amount:
            return False
        found.left -= amount
        return True

    async def renew(self, ledger: HoldingLedger, now: float) -> None:
        """Lease slices that are wanted, renew those that are leased, and give back those that were spent from or that nobody uses.

        Raises:
            LedgerUnavailable: the ledger does not answer.

        """
        self._now = now
        leased = [one.hold for one in self._slices.values() if one.hold is not None]
        lost = set(await ledger.renew(leased, now=now, lease=LEASE_SECONDS)) if leased else set()
        for counter, one in list(self._slices.items()):
            if one.hold is None:
                await self._lease(ledger, counter, one, now)
            elif one.hold in lost or one.left < one.claim.amount or now - one.seen_at > IDLE_SECONDS:
                # The calls that were paid from it are held by themselves by now.
                del self._slices[counter]
                await ledger.release(one.hold, now=now)

    async def _lease(self, ledger: HoldingLedger, counter: str, one: _Slice, now: float) -> None:
        self._number += 1
        name = f"slice-{self._name}-{self._number}"
        answer = await ledger.hold(name, [one.claim], now=now, lease=LEASE_SECONDS)
        if isinstance(answer, Refused):
            del self._slices[counter]
        else:
            one.hold = name

    async def give_back(self, ledger: HoldingLedger, now: float) -> None:
        """Give all slices back, as the gate stops."""
        slices, self._slices = self._slices, OrderedDict()
        for one in slices.values():
            if one.hold is not None:
                try:
                    await ledger.release(one.hold, now=now)
                except LedgerUnavailable as error:
                    log.warning("A slice of a budget could not be given back; it is charged when its lease runs out: %s", error)
                    return


def _size(remaining: int, one_call: int) -> int:
    """Return how much of what remains to lease."""
    return min(max(remaining // SHARE, one_call * CALLS), remaining // MOST_SHARE)

"""The ledger: what is spent and what is held, in windows of budgets. Its protocol is `reference/reliability.md` section 4.3.

    none -> OPEN -> SETTLED                       the usual way
            OPEN -> RELEASED                      it never reached a provider
            OPEN -> CHARGED -> CORRECTED          its lease ran out, and the truth came late

A counter is named by its budget and the start of its window, so a new window begins at zero by itself and a settle always finds the window that it
was held in. Amounts are integers in the budget's own unit. Every operation can be repeated without harm.

The ledger answers fast and may be lost; the truth is in the store, where each saved call adds to what its counters have spent. So a ledger
that was lost says so to everybody (`LedgerLost`) until an office has made it anew.

Claims, standings and answers are values, but not frozen: the gate makes several for each call of a key under a budget.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

PARTS = 60  # of a rolling window; the one before them is counted whole too, since the window's beginning is in it


@dataclass(slots=True)
class Claim:
    """So much of one counter. `counter` is `budget-id[|member]@unit:window`; `limit` is None where nothing is refused (soft budgets: told, never blocked).

    `forget_at` is when the counter may be deleted (Unix seconds: the window's end and a day), None for never. `rolling` counts in sixty parts of
    `rolling` seconds instead of one window, of which `part` is this claim's; the oldest part counts whole. `domain.windows.claim_on` makes claims.
    """

    counter: str
    amount: int
    limit: int | None
    forget_at: int | None = None
    rolling: int = 0
    part: int = 0

    @property
    def first_part(self) -> int:
        """The oldest part that counts."""
        return self.part - PARTS if self.rolling else 0


@dataclass(slots=True)
class Standing:
    """What a counter holds: settled (and charged, for leases that ran out), and held."""

    spent: int
    held: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What one part of a counter holds, with what was settled and what was charged apart."""

    settled: int
    charged: int
    held: int


@dataclass(slots=True)
class Held:
    """The hold is there. `standings` are those after it, in the order of the claims."""

    standings: tuple[Standing, ...]


@dataclass(slots=True)
class Refused:
    """Nothing changed. `claim` is the first that did not fit, with what its counter holds.

    Of a top-up to a hold that is no longer open, `claim` is its first, of amount 0.
    """

    claim: Claim
    standing: Standing


class LedgerUnavailable(Exception):
    """The ledger does not answer in time, or lost what it knew. Each budget says what follows (`when_ledger_is_down`)."""


class LedgerLost(LedgerUnavailable):
    """The ledger answers, and has forgotten everything. It serves nobody until an office has rebuilt it."""


class LedgerForeign(LedgerUnavailable):
    """The ledger belongs to another store than ours: nothing is held, settled or compared there."""


class HoldingLedger(Protocol):
    """The ledger as the gate uses it, on its event loop. `now` is Unix seconds; every method raises LedgerUnavailable within milliseconds.

    What becomes of a hold that was not answered in time is the ledger's care: it is given back as soon as that can be done.
    """

    async def hold(self, hold: str, claims: Sequence[Claim], *, now: float, lease: float) -> Held | Refused:
        """Hold all claims or none. A hold that is there already is held once: the answer is the same."""

    async def top_up(self, hold: str, amounts: Sequence[int], *, now: float, lease: float) -> Held | Refused:
        """Add to an open hold, on all its counters or on none; refused too where the hold is no longer open."""

    async def renew(self, holds: Sequence[str], *, now: float, lease: float) -> Sequence[str]:
        """Give open holds a new lease, and return those that are not here as they were made.

        They were charged because their lease ran out, or the ledger was lost, and made anew without them or without what was topped up.
        `resume` them.
        """

    async def resume(self, hold: str, claims: Sequence[Claim], *, now: float, lease: float) -> None:
        """Hold again what a running call held before the ledger was lost, with all that was topped up, whatever the limits: it is being spent.

        What is missing of it is added. Nothing happens to a hold that is whole, or was charged.
        """

    async def release(self, hold: str, *, now: float) -> None:
        """Give an open hold back whole: only for a call that provably never reached a provider. One that is not there stays out for an hour."""

    async def close(self) -> None:
        """Let go of the file or the connections."""


class SettlingLedger(Protocol):
    """The ledger as the office uses it, from any of its threads: it waits. Every method raises LedgerUnavailable, and all but `rebuild` LedgerLost."""

    def settle(self, settlements: Mapping[str, Sequence[int]], *, now: float) -> Sequence[str]:
        """Put true amounts (in the order of each hold's claims) in the place of holds; correct those that were charged when their lease ran out.

        Return the holds that are not here: they were settled before, or were never made, or are lost.
        """

    def expire(self, *, now: float, most: int = 1000) -> Sequence[str]:
        """Charge what holds whose lease ran out had held; return their names."""

    def held(self, holds: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
        """Return the amounts of holds that are open or charged, in the order of their claims, with what was topped up."""

    def standings(self, counters: Sequence[str], *, now: float | None = None) -> Mapping[str, Standing]:
        """Return what counters hold; one that does not exist is not in the answer. `now` says where rolling windows are; None is the present."""

    def tallies(self, counters: Sequence[str]) -> Mapping[tuple[str, int], Tally]:
        """Return what each part of counters holds, by counter and part."""

    def charge(self, entry: str, claims: Sequence[Claim], *, now: float) -> None:
        """Add what was spent without a hold, once for each `entry`. The store must know of it too, or the reconciler will take it away."""

    def raise_to(self, least: Sequence[Claim], *, now: float) -> int:
        """Raise what counters have settled to these amounts where it is less; return by how much that was in all."""

    def lower(self, excess: Sequence[Claim], seen: Sequence[int], *, now: float) -> int:
        """Take these amounts from what counters have settled, each only if that is still what was `seen`; return how much that was in all.

        Only for what is proved to be too much; of two offices that prove it at once, one takes it.
        """

    def rebuild(self, settled: Sequence[Claim], holds: Mapping[str, Sequence[Claim]], *, now: float, lease: float) -> bool:
        """Make a lost ledger anew, in one step; return False, and do nothing, where it is not lost (any more)."""

    def forget(self, *, now: float, most: int = 1000) -> int:
        """Delete what is past its time: counters of windows that are long over, and holds of them. Return how much was deleted."""

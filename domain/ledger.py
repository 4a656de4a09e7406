"""The ledger: what is spent and what is held, in windows of budgets. Its protocol is `reference/reliability.md` section 4.3.

    none -> OPEN -> SETTLED                       the usual way
            OPEN -> RELEASED                      it never reached a provider
            OPEN -> CHARGED -> CORRECTED          its lease ran out, and the truth came late

A counter is named by its budget and the start of its window, so a new window begins at zero by itself and a settle always finds the window that it
was held in. Amounts are integers in the budget's own unit. Every operation can be repeated without harm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Claim:
    """So much of one counter. `counter` is `budget-id[|member]@start`; `limit` is None where nothing is refused (soft budgets: told, never blocked).

    `forget_at` is when the counter may be deleted (Unix seconds: the window's end and a day), None for never. `rolling` counts in sixty parts of
    `rolling` seconds instead of one window; the oldest part counts whole.
    """

    counter: str
    amount: int
    limit: int | None
    forget_at: int | None = None
    rolling: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What a counter holds."""

    spent: int
    held: int


@dataclass(frozen=True, slots=True)
class Held:
    """The hold is there. `standings` are those after it, in the order of the claims."""

    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changed. `claim` is the first that did not fit, with what its counter holds."""

    claim: Claim
    standing: Standing


class LedgerUnavailable(Exception):
    """The ledger does not answer in time, or lost what it knew. Each budget says what follows (`when_ledger_is_down`)."""


class HoldingLedger(Protocol):
    """The ledger as the gate uses it, on its event loop. `now` is Unix seconds; every method raises LedgerUnavailable within milliseconds."""

    async def hold(self, hold: str, claims: Sequence[Claim], *, now: float, lease: float) -> Held | Refused:
        """Hold all claims or none. A hold that is there already is held once: the answer is the same."""

    async def top_up(self, hold: str, amounts: Sequence[int], *, now: float, lease: float) -> Held | Refused:
        """Add to an open hold, on all its counters or on none; refused too where the hold is no longer open."""

    async def renew(self, holds: Sequence[str], *, now: float, lease: float) -> None:
        """Give open holds a new lease."""

    async def release(self, hold: str, *, now: float) -> None:
        """Give an open hold back whole: only for a call that provably never reached a provider."""


class SettlingLedger(Protocol):
    """The ledger as the office uses it, from the recorder's thread."""

    def settle(self, settlements: Mapping[str, Sequence[int]], *, now: float) -> None:
        """Put true amounts (in the order of each hold's claims) in the place of holds; correct those that were charged when their lease ran out."""

    def expire(self, *, now: float, most: int = 1000) -> Sequence[str]:
        """Charge what holds whose lease ran out had held; return their names."""

    def standings(self, counters: Sequence[str]) -> Mapping[str, Standing]:
        """Return what counters hold; one that does not exist is not in the answer."""

    def charge(self, entry: str, claims: Sequence[Claim], *, now: float) -> None:
        """Add what was spent without a hold (soft budgets while the ledger was away, late truths), once for each `entry`."""

    def replace(self, counters: Mapping[str, int], *, now: float) -> None:
        """Set what counters have spent: rebuilding after a loss, or raising what the reconciler proved too low."""

"""Warnings: a budget came to a share of its limit. Each is given once for a window, however many workers and offices settle its calls."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from domain.budgets import Budget
from domain.errors import StoreUnavailable
from domain.events import Event
from domain.ledger import Standing
from recorder.budget_events import event_of
from storage.budgets import BudgetWarning

MILLION = 1_000_000
MOST_REMEMBERED = 10_000


class WarningStore(Protocol):
    """Where warnings are kept (`storage.budgets.BudgetStore`)."""

    def unwarned(self, warnings: Sequence[BudgetWarning], /) -> list[BudgetWarning]:
        """Return those that were not given before."""

    def warn(self, warnings: Sequence[BudgetWarning], /) -> list[BudgetWarning]:
        """Keep those that were not given before, and return them."""


def _nobody(_event: Event) -> None:
    """Tell nobody."""


class Warner:
    """Looks at what counters hold after calls were settled. It belongs to one thread."""

    def __init__(
        self,
        budgets: Callable[[], Mapping[str, Budget]],
        store: WarningStore,
        now: Callable[[], float] = time.time,
        *,
        tell: Callable[[Event], object] = _nobody,
    ) -> None:
        """Take what knows the budgets by id, what keeps warnings, and what tells events (`recorder.events.Events.tell`)."""
        self._budgets = budgets
        self._store = store
        self._now = now
        self._tell = tell
        self._late: dict[str, Standing] = {}
        self._given: set[tuple[str, int, int]] = set()

    def told(self, standings: Mapping[str, Standing]) -> None:
        """Look; while the store is away, remember what to look at when it is back."""
        self._late.update(standings)
        try:
            self.look(dict(self._late))
        except StoreUnavailable:
            return
        self._late.clear()

    def look(self, standings: Mapping[str, Standing]) -> list[BudgetWarning]:
        """Warn of each share of a limit that one of these counters has come to, unless it was told before; return what is new.

        Raises:
            StoreUnavailable: nothing was told; what a later look finds is told then.
        """
        budgets = self._budgets() if standings else {}
        crossed = [
            warning
            for counter, standing in standings.items()
            for warning in self._crossed(counter, standing, budgets)
            if _mark(warning) not in self._given
        ]
        if not crossed:
            return []
        new = self._given_now(crossed)
        if len(self._given) > MOST_REMEMBERED:
            self._given.clear()
        self._given.update(map(_mark, crossed))
        return new

    def _given_now(self, crossed: Sequence[BudgetWarning]) -> list[BudgetWarning]:
        """Tell of those that are new and keep them; return what was kept first here.

        An event is told once by its id for as long as it is known, a warning for ever. So the event goes first: an office that ends
        in between tells it again and is not heard, and one that was told long ago is not told again.
        """
        new = self._store.unwarned(crossed)
        for warning in new:
            self._tell(event_of(warning))
        return self._store.warn(new) if new else []

    def _crossed(self, counter: str, standing: Standing, budgets: Mapping[str, Budget]) -> Iterator[BudgetWarning]:
        """Yield a warning for each share that is reached; the limit itself is one of them."""
        id_, member, start = parts_of(counter)
        budget = budgets.get(id_)
        if budget is None or standing.spent <= 0:
            return
        now = self._now()
        rolling = budget.window.kind == "rolling"
        limit = budget.limit_at(now if rolling else start)
        period = int(now // budget.window.seconds) if rolling else 0
        for threshold in thresholds_of(budget):
            if standing.spent * MILLION >= limit * threshold:
                yield BudgetWarning(id_, budget.name, member, counter, period, threshold, standing.spent, limit, budget.unit, now)


def thresholds_of(budget: Budget) -> list[int]:
    """Return the shares that a budget warns at, in millionths, from the smallest on; the whole limit is always one."""
    return sorted({round(share * MILLION) for share in budget.warn_at} | {MILLION})


def parts_of(counter: str) -> tuple[str, str | None, int]:
    """Return the budget, the member and the start of the window that a counter is named by; a window without a start begins at 0."""
    who, _, window = counter.rpartition("@")
    id_, divided, member = who.partition("|")
    start = window.partition(":")[2].partition("+")[0]
    return id_, member if divided and member else None, int(start) if start.isdigit() else 0


def _mark(warning: BudgetWarning) -> tuple[str, int, int]:
    return warning.counter, warning.period, warning.threshold

"""The budgets of this gate: those of the settings, and those that the office writes into a file. Like the keys, a snapshot that is swapped whole."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from domain.budgets import Budget, Subject, Window, WindowRule
from domain.keys import ApiKey
from domain.ledger import Claim
from domain.matching import could_match, member_of, shown_name
from domain.windows import claim_on, window_of
from gateway.changed_file import ChangedFile
from storage.budget_file import load_budgets

MOST_PLANS = 4096


@dataclass(slots=True)
class Applied:
    """A budget as it applies to a call: whose sum counts (None: there is one), the window, its limit, and a claim of nothing on its counter.

    `warns_from` is the least that is spent when there is something to warn of; None where there never is.
    """

    budget: Budget
    member: str | None
    window: Window
    limit: int
    empty: Claim
    warns_from: float | None

    @property
    def name(self) -> str:
        """How a refusal calls it."""
        return shown_name(self.budget, self.member or "")

    def claim(self, amount: int, *, limit: int | None) -> Claim:
        """Return a claim of `amount` on it."""
        empty = self.empty
        return Claim(empty.counter, amount, limit, empty.forget_at, empty.rolling, empty.part)


def applied_on(budget: Budget, member: str | None, window: Window) -> Applied:
    """Return a budget as it applies to calls in `window`."""
    limit = budget.limit_at(window.start)
    warns_from = min(budget.warn_at) * limit if limit and budget.warn_at else None
    return Applied(budget, member, window, limit, claim_on(budget, member, window, 0, limit=None), warns_from)


class Budgets:
    """All budgets, and which of them a call falls under."""

    def __init__(self, path: Path, own: Iterable[Budget]) -> None:
        """Read budgets from the file at `path`, beside `own` ones of the settings."""
        self._path = path
        self._own = tuple(own)
        self._file = ChangedFile(path)
        self._all: tuple[Budget, ...] = ()
        self._plans: dict[str, tuple[ApiKey, tuple[Budget, ...]]] = {}
        self._windows: dict[WindowRule, Window] = {}
        self._sums: dict[str, Applied] = {}
        self.refresh()

    @property
    def all(self) -> tuple[Budget, ...]:
        """Every budget."""
        return self._all

    def refresh(self) -> bool:
        """Read the file again if it has changed; return whether it had.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not a file of budgets. The last ones stay, until it changes again.

        """
        if not self._file.changed():
            return False
        # What the settings say stays, even where the file is broken when the gate starts.
        self._all = self._all or self._own
        self._all = _together(self._own, load_budgets(self._path))
        self._plans = {}
        self._windows = {}
        self._sums = {}
        return True

    def of_key(self, key: ApiKey) -> tuple[Budget, ...]:
        """Return the budgets that some call of `key` could fall under."""
        if not self._all:
            return ()
        known = self._plans.get(key.id)
        if known is not None and known[0] is key:
            return known[1]
        if len(self._plans) >= MOST_PLANS:
            self._plans = {}
        found = tuple(one for one in self._all if could_match(one, key=key.name, project=key.project))
        self._plans[key.id] = (key, found)
        return found

    def applied(self, budgets: Iterable[Budget], subject: Subject, now: float) -> list[Applied]:
        """Return those of `budgets` that a call falls under, in the order in which every gate claims them."""
        found = []
        for budget in budgets:
            member = member_of(budget.scope, subject)
            if member is not None:
                found.append(applied_on(budget, member, self._window(budget.window, now)) if member else self._sum(budget, now))
        if len(found) > 1:
            found.sort(key=lambda one: (one.budget.id, one.member or ""))
        return found

    def _sum(self, budget: Budget, now: float) -> Applied:
        """Return a budget of which there is one sum; the same for all calls in a window."""
        known = self._sums.get(budget.id)
        if known is None or known.budget is not budget or not _around(known.window, now):
            known = self._sums[budget.id] = applied_on(budget, None, self._window(budget.window, now))
        return known

    def _window(self, rule: WindowRule, now: float) -> Window:
        """Return the window around `now`; working one out costs much more than looking it up."""
        known = self._windows.get(rule)
        if known is None or not _around(known, now):
            known = self._windows[rule] = window_of(rule, now)
        return known


def _around(window: Window, now: float) -> bool:
    return window.start <= now and (window.end is None or now < window.end)


def _together(own: Iterable[Budget], written: Iterable[Budget]) -> tuple[Budget, ...]:
    """Return the settings' budgets, with what the office added to their limits for a time, and those of the store."""
    found = {budget.id: budget for budget in written}
    ours = {budget.id: replace(budget, raises=found[budget.id].raises) if budget.id in found else budget for budget in own}
    return *ours.values(), *(budget for budget in found.values() if budget.origin == "database" and budget.id not in ours)

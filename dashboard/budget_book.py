"""All budgets of an installation: those that the settings define, which only the file can change, and those in the store.

The gate reads them from a file, which is written whole after each change, and now and then in case another office changed something.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dashboard.published import Published
from domain.budgets import Budget
from storage.budget_file import load_budgets, save_budgets
from storage.budgets import BudgetStore, with_raises


class BudgetBook:
    """Budgets, and the file that the gate reads. Its methods wait, and may be called from any thread."""

    def __init__(
        self,
        store: BudgetStore,
        own: Sequence[Budget],
        path: Path,
        *,
        lines: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Take the budgets in `store` beside the settings' `own` ones, and write them to the file at `path`.

        `lines` says where each of the settings' budgets is written (`faregate.toml:12`), by id.
        """
        self.store = store
        self.lines = lines or {}
        self._own = {budget.id: budget for budget in own}
        self._now = now
        self._file = Published[list[Budget]](path, save_budgets)

    def from_settings(self, id_: str) -> Budget | None:
        """Return the settings' budget of this id, if there is one."""
        return self._own.get(id_)

    def all(self) -> list[Budget]:
        """Return every budget, with what is added to its limit now or later.

        Raises:
            StoreUnavailable: the store is away.

        """
        raises = self.store.raises()
        found = [*self._own.values(), *(budget for budget in self.store.all() if budget.id not in self._own)]
        return [with_raises(budget, raises.get(budget.id, ()), self._now()) for budget in found]

    def by_id(self) -> Mapping[str, Budget]:
        """Return the budgets as they were last written for the gate, by id. It does not wait."""
        return {budget.id: budget for budget in self._file.value or self._own.values()}

    def publish(self) -> None:
        """Write the file, if what is in it has changed.

        Raises:
            StoreUnavailable: the store is away; the file stays as it was.
            OSError: it cannot be written.

        """
        self._file.publish(self.all)

    def publish_without_store(self) -> None:
        """Write the settings' budgets as they are now, and those of the store as they were when it was last there.

        Raises:
            OSError: the file cannot be written.

        """
        self._file.publish(self._before)

    def _before(self) -> list[Budget]:
        """Return the settings' budgets, with what was added to their limits when that was last written, and those of the store as they were then."""
        try:
            before = load_budgets(self._file.path)
        except ValueError:
            before = []
        raises = {budget.id: budget.raises for budget in before}
        own = [replace(budget, raises=raises.get(budget.id, ())) for budget in self._own.values()]
        return [*own, *(budget for budget in before if budget.origin == "database" and budget.id not in self._own)]

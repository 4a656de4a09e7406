"""Budgets and limits as the proxy meets them: which keys they concern, and, for calls of those, what is held before they are sent.

Most gates have no budgets, and most calls of the others are under none. So everything but the question whether a key is concerned is made when
the first call comes that is.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from domain.budgets import Budget
from domain.keys import ApiKey
from gateway.budgets.in_force import Budgets
from gateway.budgets.past_costs import Lookup
from gateway.budgets.token_counts import TokenCounts
from gateway.wire.steps import Signal, in_task
from storage.ledger import open_ledger

if TYPE_CHECKING:
    from gateway.budgets.hold import Asking, Holding
    from gateway.budgets.holding import Holdings
    from gateway.budgets.prices import PricesInForce
    from pricing.book import PriceBook


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: the data folder, the files that the office writes, and the ledger. `shared`: other gate processes count in the same ledger."""

    data: Path
    budgets: Path
    past_costs: Path
    ledger: Path
    redis_url: str | None
    shared: bool


class Admission:
    """Admits calls of keys under a budget or a limit."""

    def __init__(self, places: Places, own: tuple[Budget, ...], counts: TokenCounts, name: str) -> None:
        """`own` are the settings' budgets; `name` is this process's own."""
        self._places = places
        self._counts = counts
        self._prices: PricesInForce | None = None
        self._priced: PriceBook | None = None
        self._name = name
        self._past = Lookup(places.past_costs)
        self._holdings: Holdings | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.budgets = Budgets(places.budgets, own)

    def take(self, own: tuple[Budget, ...]) -> None:
        """Use other budgets of the settings from now on."""
        self.budgets = Budgets(self._places.budgets, own)
        if self._holdings is not None:
            self._holdings.take(self.budgets)

    def refresh(self) -> None:
        """Read again what the office has written anew.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not what it should be. What was known stays.

        """
        self.budgets.refresh()
        if self._holdings is not None:
            self._past.refresh()
            self._reprice(self._holdings)

    def concerns(self, key: ApiKey) -> bool:
        """Return whether a call of `key` must be admitted."""
        return key.limits is not None or bool(self.budgets.of_key(key))

    @property
    def holdings(self) -> "Holdings":
        """The holds of this process."""
        if self._holdings is None:
            self._holdings = self._made()
            self._keeping = asyncio.get_running_loop().create_task(self._holdings.keep())
        return self._holdings

    def admit(self, asking: "Asking") -> Awaitable["Holding"]:
        """Hold what a call can cost; see `Holdings.admit`."""
        holdings = self.holdings
        return holdings.admit(asking) if self._places.redis_url is None else _over_the_network(holdings, asking)

    async def close(self) -> None:
        """Give back what is leased for emergencies, and close the ledger."""
        if self._keeping is not None:
            self._keeping.cancel()
        if self._holdings is not None:
            await self._holdings.close()

    async def _counted(self, body: bytes, model: str) -> int | None:
        await in_task()  # the office is waited for
        return await self._counts.input_bound(body, model)

    def _reprice(self, holdings: "Holdings") -> None:
        if self._prices is not None and (book := self._prices()) is not self._priced:
            self._priced = book
            holdings.reprice(book)

    def _made(self) -> "Holdings":
        # A gate without budgets has no prices in memory.
        from gateway.budgets.bounding import Bounding  # noqa: PLC0415
        from gateway.budgets.emergency import Emergency  # noqa: PLC0415
        from gateway.budgets.holding import Holdings  # noqa: PLC0415
        from gateway.budgets.pace import Pace  # noqa: PLC0415
        from gateway.budgets.prices import PricesInForce  # noqa: PLC0415

        places = self._places
        loop = asyncio.get_running_loop()
        ledger = open_ledger(places.ledger, places.redis_url, waiter=lambda: Signal(loop))
        self._prices = PricesInForce(places.data)
        self._priced = self._prices()
        self._past.refresh()
        return Holdings(
            budgets=self.budgets,
            ledger=ledger,
            bounding=Bounding(self._priced),
            pace=Pace(ledger if places.shared else None),
            clock=time.time,
            count=self._counted,
            past_cost=self._past,
            # A file does not go away as a network does; a slice would only be missing from what is left.
            emergency=None if places.redis_url is None else Emergency(self._name),
        )


async def _over_the_network(holdings: "Holdings", asking: "Asking") -> "Holding":
    await in_task()
    return await holdings.admit(asking)

"""What says what calls cost, put together: the prices in force, how they are kept fresh, how past costs are corrected, and what the gate is told of them."""

import logging
import time
from collections.abc import Sequence

from config.settings import Settings
from dashboard.price_desk import PriceDesk
from dashboard.price_shelf import PriceShelf
from dashboard.store_watch import StoreWatch
from domain.spans import Span
from recorder.past_costs import PastCosts
from recorder.price_audit import Auditor
from recorder.price_refresh import PriceRefresh
from recorder.pricing import Pricer
from recorder.repricing import Repricer
from recorder.spans import SIMULATED
from storage.adjustments import AdjustmentStore
from storage.database import Database
from storage.folder import DataFolder
from storage.past_costs import save_past_costs
from storage.prices import PriceStore

log = logging.getLogger(__name__)

PUBLISH_SECONDS = 3.0
USED_LATELY = 30 * 86_400.0
WAKE_SECONDS = 0.1


class Costing:
    """Prices calls, and sees to it that it does so by prices of today."""

    def __init__(self, settings: Settings, database: Database, folder: DataFolder) -> None:
        """Put it together; nothing runs yet."""
        self._past_costs_file = folder.past_costs
        self.shelf = PriceShelf(PriceStore(database), settings.price_values(), folder.path)
        self._hosts = {name: f"{one.host}{one.base_path}" for name, one in settings.upstream_values().items()}
        self.pricer = Pricer(lambda: self.shelf.book, self._hosts)
        self._refresh = PriceRefresh(
            settings.price_refresh.url,
            data=folder.path,
            snapshots=self.shelf.snapshots,
            book=lambda: self.shelf.book,
            used=self._used_models,
            publish=self.shelf.publish,
        )
        self._refresh_every = float(settings.price_refresh.every) if settings.price_refresh.url else None
        adjustments = AdjustmentStore(database)
        self.desk = PriceDesk(
            self.shelf,
            adjustments,
            Repricer(adjustments, self.pricer.of_span),
            Auditor(adjustments, self.pricer.of_span),
            {name: host for name, host in self._hosts.items() if name != SIMULATED},
            self._refresh.refresh,
        )
        self._past_costs = PastCosts()
        self._past_costs_at = 0.0

    def keep_fresh(self, watch: StoreWatch) -> None:
        """Fetch the price list now and then, until the office stops; the first time once the store is there and the list in force is old enough."""
        every = self._refresh_every
        seconds = WAKE_SECONDS
        while every is not None and watch.wait(seconds):
            if watch.ready.is_set():
                seconds = self.shelf.snapshots.due_in(every, time.time())
                if seconds <= 0:
                    self._refresh.when_due()
                    seconds = every

    def recorded(self, spans: Sequence[Span]) -> None:
        """Note what calls cost, and tell the gate now and then. It belongs to the recorder's thread."""
        self._past_costs.note(spans)
        now = time.monotonic()
        if not self._past_costs.changed or now < self._past_costs_at:
            return
        self._past_costs_at = now + PUBLISH_SECONDS
        try:
            save_past_costs(self._past_costs_file, self._past_costs.known())
        except OSError as error:
            log.warning("What calls cost lately could not be written for the gate: %s", error.strerror)

    def _used_models(self) -> list[tuple[str, str | None, str]]:
        """Return upstream, host and model of what was called lately."""
        since = int((time.time() - USED_LATELY) * 10**9)
        return [(upstream, self._hosts.get(upstream), model) for upstream, model in self.shelf.store.used(since)]

"""The real store of deliveries, under a courier in virtual time."""

from domain.deliveries import Owed
from storage.deliveries import DeliveryStore
from storage.deliveries.records import Listing
from storage.spans import SpanStore
from tests.recorder.courier.world import World
from tests.storage.samples import SECOND, a_span

SELDOM = 60 * SECOND


class StoreQueue(DeliveryStore):
    """It checks its sums whenever the test has let time pass. What the courier asks every five seconds is done once a minute, since hours pass here."""

    def __init__(self, database, wall):
        super().__init__(database, office="office-1", now=wall)
        self.spans = SpanStore(database, now=wall)
        self.away = None
        self._counted = {}
        self._counted_at = self._beaten_at = 0

    def check(self):
        if self.away is None:
            assert self.discrepancies() == []

    def claim(self, *arguments, **wanted):
        self._here()
        return super().claim(*arguments, **wanted)

    def finish(self, outcomes):
        self._here()
        super().finish(outcomes)

    def beat(self, *, now):
        self._here()
        if now - self._beaten_at >= SELDOM:
            self._beaten_at = now
            super().beat(now=now)

    def counts(self):
        self._here()
        if self._now() - self._counted_at >= SELDOM:
            self._counted_at, self._counted = self._now(), super().counts()
        return self._counted

    def counts_now(self):
        return super().counts()

    def _here(self):
        if self.away is not None:
            raise self.away


class StoreWorld(World):
    """A world whose deliveries are in a database."""

    def __init__(self, database, destinations, **more):
        super().__init__(destinations, queue=StoreQueue(database, self.wall), **more)

    def owe(self, name, count, *, lane="live", content=None, **owed):
        spans = [a_span(started_at=self.wall()) for _ in range(count)]
        terms = Owed(name, **owed)
        live = {span.id: [terms] for span in spans} if lane == "live" else {}
        self.queue.spans.save([(span, content) for span in spans], {}, live)
        if lane == "replay":
            self.queue.replay(name, [span.id for span in spans], terms)
        self.courier._wake({name: count})
        return [span.id for span in spans]

    def counts(self, name="d"):
        """Accepted, delivered, pending, dead."""
        one = self.queue.counts_now()[name]
        return one.accepted, one.delivered, one.pending, one.dead

    def died(self, name="d"):
        """What is dead, and of what: as the store has it."""
        page = self.queue.listed(Listing(destination=name, state="dead", limit=1000))
        return {record.call_id: record.kind for record in page.records}

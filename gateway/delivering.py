"""What delivers, put together: rules, the store of deliveries, the courier, events and replays."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from config.rule_files import routes_of_documents
from config.rules import rules_of_documents
from config.settings import Settings
from dashboard.destination_desk import DestinationDesk
from dashboard.rules import RuleDesk
from domain.deliveries import Owed
from domain.errors import StoreUnavailable
from domain.events import Event
from domain.ids import new_id
from domain.rulings import Ruling
from domain.spans import Content, Span
from gateway.metrics import Sample
from gateway.office_metrics import delivery_samples
from recorder.changed_destinations import retry_where_changed
from recorder.courier import Configured, Courier, configured
from recorder.events import Events
from recorder.pricing import Pricer
from recorder.replaying import Replays
from routing.route_trial import tried_routes
from routing.routes import RouteRules
from routing.rules import SpanRules
from storage.database import Database
from storage.deliveries import DeliveryStore
from storage.folder import DataFolder
from storage.spans import SpanStore

log = logging.getLogger(__name__)

# As long as an undelivered call is tried where the settings say nothing else.
REMOVED_AFTER = 7 * 86_400 * 10**9
# Whoever has a destination tries it more often, however long that has been down: pauses end after an hour.
TRIED_LATELY = 2 * 3600 * 10**9
REPLAYS, SEEN = "replays.json", "destinations.json"


class Delivering:
    """Decides who hears of a call, and sees to it that they do."""

    def __init__(  # noqa: PLR0913 - what it is put together from
        self,
        settings: Settings,
        database: Database,
        spans: SpanStore,
        folder: DataFolder,
        *,
        pricer: Pricer,
        places: Mapping[str, str],
    ) -> None:
        """Put it together; nothing runs yet. `places` says where the file has each setting."""
        self._spans = spans
        self._data = folder.path
        self._pepper = folder.pepper()
        self._configs = settings.destinations
        self._rules = SpanRules(settings.rule_values(), settings.takes(), settings.channels())
        self._wanted = bool(settings.rules or settings.destinations)
        self.store = DeliveryStore(database, office=new_id(time.time_ns()))
        self.courier = Courier(self.store, _destinations(settings, self._pepper), events=self.tell, owe=self._owe)
        self._events = Events(self.store, self._rules.for_event, woken=self.courier.wake)
        self.replays = Replays(
            folder.path / REPLAYS,
            spans,
            self.store,
            owed_for=self._terms,
            woken=self.courier.wake,
            paced=self.courier.replay_rate,
        )
        self.desk = DestinationDesk(
            settings.destinations,
            self.store,
            spans,
            self.courier,
            self.replays,
            lines=_placed(places, {name: f"destinations.{name}" for name in settings.destinations}),
            owed_for=self._terms,
        )
        self.rule_desk = _rule_desk(settings, self._rules, pricer, places)

    @property
    def rules(self) -> Callable[[Span], Ruling] | None:
        """What says of each span who hears of it; None where there is nobody."""
        return self._rules.decide if self._wanted else None

    def tell(self, event: Event) -> bool:
        """Owe an event to whom rules say.

        Raises:
            StoreUnavailable: nothing was owed; the same can be told again.

        """
        return self._events.tell(event)

    def samples(self) -> list[Sample]:
        """Return how deliveries stand, for Prometheus.

        Raises:
            StoreUnavailable: the store is away.

        """
        return delivery_samples(self.store.counts(), self.courier.status(), time.time())

    def give_up_removed(self) -> None:
        """Give up what has waited for long for destinations that the settings do not have any more: it would keep its calls for ever.

        What is still tried is left alone: the settings of another office have the destination.

        Raises:
            StoreUnavailable: the store is away.

        """
        for name, counts in self.store.counts().items():
            now = time.time_ns()
            waited = 0 if counts.oldest is None else now - counts.oldest
            if name in self._configs or waited <= REMOVED_AFTER or self.store.tried_since(name, now - TRIED_LATELY):
                continue
            given_up = sum(iter(partial(self.store.discard, name, state="pending"), 0))
            log.warning("%d deliveries are given up: the settings do not have the destination %r any more.", given_up, name)

    def run(self) -> None:
        """Deliver, and go on with replays, until `stop`. The store is there."""
        self._try_changed_ones_again()
        self.courier.start()
        self.replays.run()

    def stop(self) -> None:
        """End, after what is in flight."""
        self.replays.stop()
        self.courier.stop()

    def _owe(self, span: Span, content: Content, owed: Owed) -> None:
        self._spans.save([(span, content)], deliveries={span.id: [owed]})

    def _terms(self, span: Span, destination: str) -> Owed | None:
        """Return how a span is owed to a destination that somebody asked to have it; None where a rule drops it."""
        return self._rules.terms(span, destination, asked=True)

    def _try_changed_ones_again(self) -> None:
        """Try again what is dead at destinations whose settings were changed: that may have been the reason."""
        try:
            retry_where_changed(self._data / SEEN, self._pepper, self._configs, self.store)
        except (StoreUnavailable, OSError) as error:
            log.warning("what is dead at destinations that were changed is tried again at the next start: %s", error)
        except Exception:  # settings may be of anybody's classes, and must not keep anything from being delivered
            log.exception("nobody can say which destinations were changed; what is dead there stays so")


def _placed(places: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return where the file has each of these settings (name to path), as far as it has them."""
    return {name: places[path] for name, path in settings.items() if path in places}


def _rule_desk(settings: Settings, rules: SpanRules, pricer: Pricer, places: Mapping[str, str]) -> RuleDesk:
    """Return what the admin API works on rules with."""
    numbered = enumerate(settings.rule_values())
    return RuleDesk(
        rules,
        settings.takes(),
        {name: destination.content for name, destination in settings.destinations.items()},
        partial(rules_of_documents, kinds=settings.redaction.names()),
        _placed(places, {value.name: f"rules.{number}" for number, value in numbered}),
        partial(_routes_tried, settings, pricer),
        settings.channels(),
    )


def _routes_tried(settings: Settings, pricer: Pricer, documents: Any, spans: Sequence[Span]) -> Mapping[str, Any]:
    """Return what routes would change for recorded calls, beside those in force."""
    return tried_routes(
        RouteRules(settings.route_values()),
        RouteRules(routes_of_documents(documents)),
        spans,
        dialects={name: one.dialect for name, one in settings.upstream_values().items()},
        default=settings.server.default_upstream,
        price=lambda span: pricer.of_span(span).pico,
    )


def _destinations(settings: Settings, pepper: bytes) -> dict[str, Configured]:
    servers = {name: (one.host, one.port) for name, one in settings.upstream_values().items()}
    policy, key = settings.redaction.value(), settings.redaction.key_bytes(pepper)
    return {
        name: configured(name, destination, servers=servers, key=key, policy=policy)
        for name, destination in settings.destinations.items()
    }

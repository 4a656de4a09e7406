"""The office, put together: recorder, store, admin API and page, in one process beside the gate.

It starts whatever is broken. While the store is away it answers, says so, and keeps trying; the journal grows meanwhile, and nothing is lost.
"""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from config.settings import Settings
from dashboard.app import Parts, make_app
from dashboard.budget_book import BudgetBook
from dashboard.budget_json import Budgets
from dashboard.keyring import KeyRing, KeysInUse
from dashboard.live import Live
from dashboard.price_shelf import PriceShelf
from dashboard.prices import PriceDesk
from dashboard.projects import project_names
from dashboard.store_watch import StoreWatch
from domain.errors import StoreUnavailable
from domain.spans import Content, Span
from gateway.calm import calm_garbage_collection
from gateway.chores import Chore
from gateway.commands.version import version
from gateway.delivering import Delivering
from gateway.office_metrics import OfficeCounters
from pricing.tokens.counter import TokenCounter
from pricing.tokens.encodings import Encodings
from recorder.budget_warnings import Warner
from recorder.estimating import Estimator
from recorder.interpret import call_of
from recorder.past_costs import PastCosts
from recorder.price_audit import Auditor
from recorder.price_refresh import PriceRefresh
from recorder.pricing import Pricer
from recorder.recorder import Policy, Recorder
from recorder.repriced_budgets import differences
from recorder.repricing import Repricer
from recorder.settling import Settling
from recorder.spans import SIMULATED, record_of
from storage.adjustments import AdjustmentStore
from storage.budgets import BudgetStore
from storage.database import open_database
from storage.folder import DataFolder
from storage.journal import JournalInUse, JournalReader
from storage.keys import KeyStore
from storage.ledger import open_settling_ledger
from storage.past_costs import save_past_costs
from storage.prices import PriceStore
from storage.sessions import SessionStore
from storage.spans import SpanStore
from storage.spending import Spending
from storage.usage import UsageStore

log = logging.getLogger(__name__)

PUBLISH_SECONDS = 3.0
USED_LATELY = 30 * 86_400.0
WAKE_SECONDS = 0.1
LOCK_SECONDS, LOCK_PAUSE = 10.0, 0.1
STOP_SECONDS = 20.0
DEMO_SEED = 1
SHUTDOWN_SECONDS = 3


class Office:
    """Everything that runs in the office's process."""

    def __init__(self, settings: Settings, admin_token: str, places: Mapping[str, str] | None = None) -> None:
        """Put it together. No thread runs yet and nothing is connected. `places` says where the file has each setting."""
        self.folder = DataFolder(settings.storage.data)
        self.folder.prepare()
        self.database = open_database(settings.storage.database_url or f"sqlite:///{self.folder.database.absolute()}")
        self.spans = SpanStore(self.database)
        self.watch = StoreWatch(self.database)
        keys = KeyStore(self.database)
        self.ring = KeyRing(keys, settings.managed_keys(), self.folder.keys)
        self._keys_in_use = KeysInUse(keys)
        self.budgets = BudgetBook(
            BudgetStore(self.database),
            settings.budget_values(),
            self.folder.budgets,
            lines=settings.budget_places(places or {}),
        )
        self.journal = _journal(self.folder.journal)
        self._policy = Policy(
            settings.capture,
            float(settings.record.keep_content),
            float(settings.record.keep_spans),
            settings.redaction.value(),
            settings.redaction.key_bytes(self.folder.pepper()),
        )
        self._encodings = Encodings()
        counter = TokenCounter(self._encodings)
        interpret = Estimator(counter).interpret
        self.shelf = PriceShelf(PriceStore(self.database), settings.price_values(), self.folder.path)
        self.hosts = {name: f"{one.host}{one.base_path}" for name, one in settings.upstream_values().items()}
        self.pricer = Pricer(lambda: self.shelf.book, self.hosts)
        self.delivering = Delivering(settings, self.database, self.spans, self.folder, pricer=self.pricer, places=places or {})
        self._counters = OfficeCounters(self.folder.run, self.delivering.samples)
        self.price_refresh = PriceRefresh(
            settings.price_refresh.url,
            data=self.folder.path,
            snapshots=self.shelf.snapshots,
            book=lambda: self.shelf.book,
            used=self._used_models,
            publish=self.shelf.publish,
        )
        self._refresh_every = float(settings.price_refresh.every) if settings.price_refresh.url else None
        self.recorder = Recorder(
            self.journal,
            self.spans,
            self._policy,
            interpret=interpret,
            price=self.pricer.of_call,
            rules=self.delivering.rules,
            pack=self.spans.packed,
            told=self._recorded,
            owing=self._owing,
            delivering=self.delivering.courier.wake,
        )
        self.ledger = open_settling_ledger(self.folder.ledger, settings.storage.redis_url)
        self.settling = Settling(
            self.ledger,
            Spending(self.database),
            running=self.journal.running,
            caught_up=lambda: self.recorder.progress.caught_up,
            told=Warner(self.budgets.by_id, self.budgets.store, tell=self.delivering.tell).told,
        )
        usage = UsageStore(self.database)
        projects = sorted({"default", *settings.projects})
        self.live = Live(self.spans, self.journal.running, self.budgets.store)
        self.app: ASGIApp = make_app(
            Parts(
                self.spans,
                self.ring,
                SessionStore(self.database),
                self.live,
                self.status,
                self.history,
                admin_token,
                counter,
                usage=usage,
                budgets=self._budgets_shown(usage, projects),
                projects=projects,
                prices=self._price_desk(),
                destinations=self.delivering.desk,
                rules=self.delivering.rule_desk,
            )
        )
        self._past_costs = PastCosts()
        self._past_costs_at = 0.0
        self._started_at = time.time()
        self._threads = [
            threading.Thread(target=self._record, name="recorder", daemon=True),
            threading.Thread(target=self._keep_keys, name="keys", daemon=True),
            threading.Thread(target=self._settle, name="settling", daemon=True),
            threading.Thread(target=self._refresh_prices, name="price-refresh", daemon=True),
            threading.Thread(target=self._deliver, name="delivering", daemon=True),
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop them, the recorder after the batch it is at, and close the store."""
        self.recorder.stop()
        self.settling.stop()
        self.delivering.stop()
        self.watch.stop()
        for thread in self._threads:
            thread.join(STOP_SECONDS)
        self.journal.close()
        self.ledger.close()
        self.database.close()

    def status(self) -> dict[str, Any]:
        """Return how everything is, for people and for `/readyz`."""
        progress = self.recorder.progress
        lag = self.journal.lag
        age = None if progress.waiting_since is None else max(time.time() - progress.waiting_since, 0.0)
        return {
            "version": version(),
            "pid": os.getpid(),
            "uptime_seconds": time.time() - self._started_at,
            "store": self.watch.check(),
            "recorder": {
                "running": self._threads[0].is_alive(),
                "recorded": progress.recorded,
                "unreadable": progress.unreadable,
                "failures": progress.failures,
                "pruned": progress.pruned,
                "last_error": progress.last_error,
            },
            "ledger": asdict(self.settling.progress),
            "journal": {
                "backlog_bytes": lag.pending_bytes,
                "open_calls": lag.open_calls,
                "damaged_records": lag.damaged_records,
                "oldest_age_seconds": age,
            },
        }

    def history(self, now: float, seconds: float) -> Iterator[tuple[Span, Content | None]]:
        """Yield the calls of a made-up past, interpreted as any others are."""
        # Needed once or twice in the life of an office, if ever: the simulated provider need not be in its memory till then.
        from gateway.demo.history import history  # noqa: PLC0415

        for exchange in history(DEMO_SEED, now, seconds):
            policy = self._policy
            yield record_of(
                exchange,
                call_of(exchange),
                capture=policy.capture,
                price=self.pricer.of_call,
                redaction=policy.redaction,
                key=policy.redaction_key,
            )

    def _price_desk(self) -> PriceDesk:
        """Return what the admin API works on prices with."""
        adjustments = AdjustmentStore(self.database, lambda changed: differences(changed, self.budgets.by_id().values()))
        return PriceDesk(
            self.shelf,
            adjustments,
            Repricer(adjustments, self.pricer.of_span),
            Auditor(adjustments, self.pricer.of_span),
            {name: host for name, host in self.hosts.items() if name != SIMULATED},
            self.price_refresh.refresh,
        )

    def _used_models(self) -> list[tuple[str, str | None, str]]:
        """Return upstream, host and model of what was called lately."""
        since = int((time.time() - USED_LATELY) * 10**9)
        return [(upstream, self.hosts.get(upstream), model) for upstream, model in self.shelf.store.used(since)]

    def _refresh_prices(self) -> None:
        """Fetch the price list now and then; the first time once the store is there and the list in force is old enough."""
        every = self._refresh_every
        seconds = WAKE_SECONDS
        while every is not None and self.watch.wait(seconds):
            if self.watch.ready.is_set():
                seconds = self.shelf.snapshots.due_in(every, time.time())
                if seconds <= 0:
                    self.price_refresh.when_due()
                    seconds = every

    def _budgets_shown(self, usage: UsageStore, projects: Sequence[str]) -> Budgets:
        """Return what the admin API shows budgets from."""
        ring = self.ring
        return Budgets(
            self.budgets,
            usage,
            self.ledger.standings,
            keys=lambda: sorted({key.name for key in ring.all() if key.revoked_at is None}),
            projects=lambda: project_names(ring, projects),
        )

    def _recorded(self, spans: Sequence[Span]) -> None:
        self._keys_in_use.see(spans)
        self._past_costs.note(spans)
        self._publish_past_costs()
        self.live.wake_from_thread()

    def _owing(self) -> None:
        self.settling.wake()

    def _publish_past_costs(self) -> None:
        """Tell the gate now and then what calls cost lately. In the recorder's thread, as what is noted."""
        now = time.monotonic()
        if not self._past_costs.changed or now < self._past_costs_at:
            return
        self._past_costs_at = now + PUBLISH_SECONDS
        try:
            save_past_costs(self.folder.past_costs, self._past_costs.known())
        except OSError as error:
            log.warning("What calls cost lately could not be written for the gate: %s", error.strerror)

    def _record(self) -> None:
        if self.watch.bring_up():
            self.recorder.run()

    def _settle(self) -> None:
        if self._store_is_there():
            self.settling.run()

    def _deliver(self) -> None:
        if self._store_is_there():
            self.delivering.run()

    def _store_is_there(self) -> bool:
        """Wait for the store, which the recorder's thread brings up; return False if the office stops before."""
        while not self.watch.ready.is_set():
            if not self.watch.wait(WAKE_SECONDS):
                return False
        return True

    def _keep_keys(self) -> None:
        """Keep the gate's key file as the settings and the store have it, whoever changed the store, and note which keys are used."""
        Chore("writing the keys for the gate", self.ring.publish_without_store).do()
        Chore("writing the budgets for the gate", self.budgets.publish_without_store).do()
        Chore("writing the prices for the gate", self.shelf.publish_without_store).do()
        chores = (
            Chore("writing the keys for the gate", lambda: _if_there(self.ring.publish)),
            Chore("writing the budgets for the gate", lambda: _if_there(self.budgets.publish)),
            Chore("writing the prices for the gate", lambda: _if_there(self.shelf.publish)),
            Chore("noting which keys are used", lambda: _if_there(self._keys_in_use.note)),
            Chore("dropping tokenizers that nobody needs", self._encodings.drop_unused),
            Chore("giving up what is owed to destinations that are gone", lambda: _if_there(self.delivering.give_up_removed)),
            Chore("writing the counters", lambda: _if_there(self._counters.write)),
        )
        seconds = WAKE_SECONDS
        while self.watch.wait(seconds):
            if self.watch.ready.is_set():
                for chore in chores:
                    chore.do()
                seconds = PUBLISH_SECONDS


def _if_there(step: Callable[[], None]) -> None:
    """Do something with the store; that it is away is said elsewhere."""
    try:
        step()
    except StoreUnavailable as error:
        log.debug("keys: %s", error)


def serve(settings: Settings, *, admin_token: str, places: Mapping[str, str] | None = None) -> None:
    """Run the office until SIGTERM or SIGINT.

    Raises:
        OSError: the data folder or an address cannot be used, or another office runs on the folder.
        ValueError: the database URL or the admin token is not one.

    """
    office = Office(settings, admin_token, places)
    sockets = [_unix_socket(office.folder.office_socket)]
    if settings.office.bind:
        sockets.append(_tcp_socket(settings.office.bind))
    calm_garbage_collection()
    office.start()
    try:
        asyncio.run(_serve(office, sockets))
    finally:
        office.stop()


class _Server(uvicorn.Server):
    """uvicorn, without its own signal handlers: ours end the streams first, and the process ends with code 0."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Leave signals alone."""
        return nullcontext()


async def _serve(office: Office, sockets: list[socket.socket]) -> None:
    server = _Server(
        uvicorn.Config(
            office.app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,  # its lines would hold sign-in links
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )

    def stop() -> None:
        office.live.close()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve(sockets)


def _journal(root: Path) -> JournalReader:
    """Return the journal's reader. An office that is just stopping may hold it a little longer; no two ever read one journal."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return JournalReader(root)
        except JournalInUse as error:
            if time.monotonic() > end:
                raise BlockingIOError(str(error)) from error
            time.sleep(LOCK_PAUSE)


def _unix_socket(path: Path) -> socket.socket:
    """Listen at `path`, for this user only. What lies there is left over: the lock says that nobody else listens."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    old = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(old)
    listener.listen(128)
    return listener


def _tcp_socket(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    return socket.create_server((host.strip("[]"), int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)

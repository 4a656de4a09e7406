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
from dashboard.projects import project_names
from dashboard.store_watch import StoreWatch
from domain.errors import StoreUnavailable
from domain.spans import Content, Span
from gateway.calm import calm_garbage_collection
from gateway.chores import Chore
from gateway.commands.version import version
from gateway.costing import Costing
from gateway.delivering import Delivering
from gateway.office_metrics import OfficeCounters
from pricing.tokens.counter import TokenCounter
from pricing.tokens.encodings import Encodings
from recorder.budget_warnings import Warner
from recorder.estimating import Estimator
from recorder.interpret import call_of
from recorder.recorder import Policy, Recorder
from recorder.settling import Settling
from recorder.spans import record_of
from storage.budgets import BudgetStore
from storage.database import open_database
from storage.folder import DataFolder
from storage.identity import store_id
from storage.journal import JournalInUse, JournalReader
from storage.keys import KeyStore
from storage.ledger import note_store_of, open_settling_ledger
from storage.rollup_upkeep import SumsUpkeep
from storage.sessions import SessionStore
from storage.spans import SpanStore
from storage.spending import Spending
from storage.usage import UsageStore

log = logging.getLogger(__name__)

PUBLISH_SECONDS = 3.0
WAKE_SECONDS = 0.1
LOCK_SECONDS, LOCK_PAUSE = 10.0, 0.1
STOP_SECONDS = 20.0
DEMO_SEED = 1
SHUTDOWN_SECONDS = 3


class Office:
    """Everything that runs in the office's process."""

    def __init__(self, settings: Settings, admin_token: str, places: Mapping[str, str] | None = None) -> None:
        """Put it together. No thread runs yet and nothing is connected. `places` says where the file has each setting."""
        self._places = places or {}
        self._started_at = time.time()
        self._open_stores(settings)
        self._put_recording_together(settings)
        self._put_settling_together(settings)
        self.live = Live(self.spans, self.journal.running, self.budgets.store)
        self.app = self._admin_app(sorted({"default", *settings.projects}), admin_token)
        self._threads = [
            threading.Thread(target=self._record, name="recorder", daemon=True),
            threading.Thread(target=self._keep_keys, name="keys", daemon=True),
            threading.Thread(target=self._settle, name="settling", daemon=True),
            threading.Thread(target=self._keep_prices_fresh, name="price-refresh", daemon=True),
            threading.Thread(target=self._deliver, name="delivering", daemon=True),
        ]
        self._outside = self._policy.redaction.outside
        if self._outside is not None:
            self._threads.append(threading.Thread(target=self._outside.start, name="presidio", daemon=True))

    def _open_stores(self, settings: Settings) -> None:
        """Open what is kept: the data folder, the database, the journal, and what the gate is told of keys and budgets."""
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
            lines=settings.budget_places(self._places),
        )
        self._sums = SumsUpkeep(self.database)
        self.journal = _journal(self.folder.journal)

    def _put_recording_together(self, settings: Settings) -> None:
        """Put together what makes calls of the journal, and what delivers them."""
        self._policy = _policy(settings, self.folder)
        self._encodings = Encodings()
        self._counter = TokenCounter(self._encodings)
        self.costing = Costing(settings, self.database, self.folder)
        self.delivering = Delivering(
            settings, self.database, self.spans, self.folder, pricer=self.costing.pricer, places=self._places
        )
        self._counters = OfficeCounters(self.folder.run, self.delivering.samples)
        self.recorder = Recorder(
            self.journal,
            self.spans,
            self._policy,
            interpret=Estimator(self._counter).interpret,
            price=self.costing.pricer.of_call,
            rules=self.delivering.rules,
            pack=self.spans.packed,
            told=self._recorded,
            owing=self._owing,
            delivering=self.delivering.courier.wake,
        )

    def _put_settling_together(self, settings: Settings) -> None:
        """Put together what settles holds, and warns of budgets."""
        self.ledger = open_settling_ledger(self.folder.ledger, settings.storage.redis_url)
        self.settling = Settling(
            self.ledger,
            Spending(self.database),
            running=self.journal.running,
            caught_up=lambda: self.recorder.progress.caught_up,
            told=Warner(self.budgets.by_id, self.budgets.store, tell=self.delivering.tell).told,
        )

    def _admin_app(self, projects: Sequence[str], admin_token: str) -> ASGIApp:
        """Return the admin API and its pages over all these parts."""
        usage = UsageStore(self.database)
        return make_app(
            Parts(
                self.spans,
                self.ring,
                SessionStore(self.database),
                self.live,
                self.status,
                self.history,
                admin_token,
                self._counter,
                usage=usage,
                budgets=self._budgets_shown(usage, projects),
                projects=projects,
                prices=self.costing.desk,
                destinations=self.delivering.desk,
                rules=self.delivering.rule_desk,
            )
        )

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
        if self._outside is not None:
            self._outside.close()
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
                price=self.costing.pricer.of_call,
                redaction=policy.redaction,
                key=policy.redaction_key,
            )

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
        self.costing.recorded(spans)
        self.live.wake_from_thread()

    def _owing(self) -> None:
        self.settling.wake()

    def _keep_prices_fresh(self) -> None:
        self.costing.keep_fresh(self.watch)

    def _record(self) -> None:
        if self.watch.bring_up():
            self.recorder.run()

    def _settle(self) -> None:
        if self._store_is_there() and self._store_is_known():
            self.settling.run()

    def _store_is_known(self) -> bool:
        """Note for the ledger which store this is; return False if the office stops before that could be done."""
        while True:
            try:
                note_store_of(self.folder.ledger, store_id(self.database))
            except (StoreUnavailable, OSError) as error:
                log.warning("Which store this is cannot be noted for the ledger, and is tried again: %s", error)
                if not self.watch.wait(PUBLISH_SECONDS):
                    return False
            else:
                return True

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
        Chore("writing the prices for the gate", self.costing.shelf.publish_without_store).do()
        chores = (
            Chore("writing the keys for the gate", lambda: _if_there(self.ring.publish)),
            Chore("writing the budgets for the gate", lambda: _if_there(self.budgets.publish)),
            Chore("writing the prices for the gate", lambda: _if_there(self.costing.shelf.publish)),
            Chore("noting which keys are used", lambda: _if_there(self._keys_in_use.note)),
            Chore("dropping tokenizers that nobody needs", self._encodings.drop_unused),
            Chore("giving up what is owed to destinations that are gone", lambda: _if_there(self.delivering.give_up_removed)),
            Chore("writing the counters", lambda: _if_there(self._counters.write)),
            Chore("summing up what was used", lambda: _if_there(self._sums.work)),
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
    """uvicorn, without its own signal handlers: ours end deliveries and streams first, and the process ends with code 0."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Leave signals alone."""
        return nullcontext()


async def _serve(office: Office, sockets: list[socket.socket]) -> None:
    """Answer until a signal tells us to end, and what is being delivered then has ended."""
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
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with asyncio.TaskGroup() as group:
        ending = group.create_task(_end(office, server, told))
        await server.serve(sockets)
        ending.cancel()


async def _end(office: Office, server: uvicorn.Server, told: asyncio.Event) -> None:
    """End the server once we are told to, after what is being delivered: a destination that hangs must not take the API away meanwhile."""
    await told.wait()
    log.info("The office ends once what it is delivering has ended.")
    try:
        await asyncio.to_thread(office.delivering.stop)
    finally:
        office.live.close()
        server.should_exit = True


def _policy(settings: Settings, folder: DataFolder) -> Policy:
    """Return what is kept of calls, and how long."""
    return Policy(
        settings.capture,
        float(settings.record.keep_content),
        float(settings.record.keep_spans),
        settings.redaction.value(),
        settings.redaction.key_bytes(folder.pepper()),
    )


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

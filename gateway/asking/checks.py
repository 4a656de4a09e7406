"""What `faregate doctor` checks. Each check gives a fact and, if something is wrong, the command that mends it; none raises."""

import shutil
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

from config.errors import SettingsError
from config.loading import Loaded, load_settings
from config.settings import Settings
from domain.upstreams import Upstream
from gateway.asking.client import AdminClient
from gateway.asking.destination_checks import destination_findings
from gateway.asking.finding import Gateway, found_gateway
from gateway.asking.findings import Finding
from gateway.commands.failure import Failed
from storage.folder import DataFolder
from storage.keyring import load_keys
from storage.ledger import foreign_ledger

_PATIENCE = 5.0
_LEAST_FREE = 2**30
_MOST_BACKLOG_SECONDS = 60.0
_MOST_SKEW = 30.0
_MANY = 2**20
_FIRST_ODD = 300
_REFUSED = frozenset({401, 403})


class Checkup:
    """Checks one installation: its settings, its folder, its gateway, and the upstreams."""

    def __init__(self, config: Path | None, data: Path | None, url: str | None, environ: Mapping[str, str]) -> None:
        """Check the installation that these name, as the other commands find it."""
        self._config = config
        self._data = data
        self._url = url
        self._environ = environ
        self._server_time: float | None = None

    def findings(self) -> Iterator[Finding]:
        """Yield what each check finds, as it finds it."""
        loaded, finding = self._settings()
        yield finding
        if loaded is not None and not self._url:
            yield from self._folder(loaded.settings)
        gateway = self._gateway()
        if isinstance(gateway, Finding):
            yield gateway
        else:
            yield from self._running(gateway)
        if loaded is not None:
            for upstream in loaded.settings.upstream_values().values():
                yield from self._upstream(upstream)
        configs = {} if loaded is None else loaded.settings.destinations
        yield from destination_findings(configs, None if isinstance(gateway, Finding) else _told_of_destinations(gateway))
        yield self._clock()

    def _settings(self) -> tuple[Loaded | None, Finding]:
        try:
            loaded = load_settings(self._config, self._environ, {"storage.data": self._data})
        except SettingsError as error:
            return None, Finding("config", ok=False, fact="; ".join(error.problems), mend="faregate config check")
        told = f"{loaded.path} is right" if loaded.path else "no file; defaults and the environment"
        return loaded, Finding("config", ok=True, fact="; ".join([told, *loaded.warnings]))

    def _folder(self, settings: Settings) -> Iterator[Finding]:
        folder = DataFolder(settings.storage.data)
        try:
            folder.prepare()
        except OSError as error:
            fact = f"{folder.path} cannot be used: {error.strerror or error}"
            yield Finding("data", ok=False, fact=fact, mend="faregate up --data DIR")
            return
        yield Finding("data", ok=True, fact=f"{folder.path} can be written to")
        free = shutil.disk_usage(folder.path).free
        fact = f"{free / 2**30:.1f} GiB free at {folder.path}"
        yield Finding("disk", ok=free >= _LEAST_FREE, fact=fact, mend=None if free >= _LEAST_FREE else "faregate db prune")
        yield self._keys(settings, folder)
        yield from _foreign_ledger(settings, folder)

    def _keys(self, settings: Settings, folder: DataFolder) -> Finding:
        try:
            stored = load_keys(folder.keys)
        except (OSError, ValueError) as error:
            mend = f"rm {folder.keys}   (the office writes it again)"
            return Finding("keys", ok=False, fact=f"the key file cannot be read: {error}", mend=mend)
        now = time.time()
        good = {
            key.name
            for key in [*stored, *settings.managed_keys()]
            if key.kind == "managed" and key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
        }
        if not good and not settings.on_loopback:
            return Finding("keys", ok=False, fact="there is no key that apps could use", mend="faregate keys create NAME")
        return Finding("keys", ok=True, fact=f"{len(good)} can be used")

    def _gateway(self) -> Gateway | Finding:
        try:
            return found_gateway(self._url, self._data, self._environ)
        except Failed as error:
            lines = error.message.splitlines()
            return Finding("gate", ok=False, fact=lines[0], mend="faregate up")

    def _running(self, gateway: Gateway) -> Iterator[Finding]:
        client = AdminClient(gateway.url, gateway.token, patience=_PATIENCE)
        try:
            client.bytes_of("GET", "/healthz")
        except Failed as error:
            yield Finding("gate", ok=False, fact=error.message.splitlines()[0], mend="faregate up")
            return
        yield Finding("gate", ok=True, fact=f"answers at {gateway.url}")
        try:
            status = client.get("/api/v1/status")
        except Failed as error:
            mend = "faregate up says at its start why the office ends" if self._url is None else "export FAREGATE_ADMIN_TOKEN=…"
            yield Finding("office", ok=False, fact=error.message.splitlines()[0], mend=mend)
            return
        yield Finding("office", ok=True, fact=f"answers, up for {status['uptime_seconds']:.0f} s")
        yield from _status_findings(status)

    def _upstream(self, upstream: Upstream) -> Iterator[Finding]:
        """Yield how one upstream is; of those that nobody set a key for, nothing is asked."""
        name = f"→ {upstream.name}"
        if upstream.scheme == "sim":
            yield Finding(name, ok=True, fact="built in")
        elif upstream.needs_key and not upstream.credentials:
            yield Finding(name, ok=True, fact="no key here: callers bring their own")
        else:
            for number, credential in enumerate(upstream.credentials or ("",), 1):
                yield self._asked(name, upstream, credential, number)

    def _asked(self, name: str, upstream: Upstream, credential: str, number: int) -> Finding:
        which = f"key {number}" if len(upstream.credentials) > 1 else "its key"
        try:
            began = time.monotonic()
            status, date = _models_status(upstream, credential)
            took = f"{(time.monotonic() - began) * 1000:.0f} ms"
        except (OSError, HTTPException) as error:
            fact = f"{upstream.host}:{upstream.port} cannot be reached: {_reason(error)}"
            return Finding(
                name, ok=False, fact=fact, mend=f"faregate config show --origin   (upstreams.{upstream.name}.base_url)"
            )
        self._server_time = self._server_time or date
        if status in _REFUSED:
            fact = f"{upstream.host} refuses {which} (status {status})"
            return Finding(name, ok=False, fact=fact, mend=f"faregate config show --origin   (upstreams.{upstream.name}.api_key)")
        good = f", {which} is good" if credential and status < _FIRST_ODD else ""
        return Finding(name, ok=True, fact=f"{upstream.host} answers in {took}{good}")

    def _clock(self) -> Finding:
        if self._server_time is None:
            return Finding("clock", ok=True, fact=f"{time.strftime('%Y-%m-%d %H:%M:%S %Z')}; nobody to compare with")
        skew = time.time() - self._server_time
        mend = None if abs(skew) <= _MOST_SKEW else "timedatectl set-ntp true"
        return Finding("clock", ok=mend is None, fact=f"{abs(skew):.0f} s off the upstreams' clock", mend=mend)


def _foreign_ledger(settings: Settings, folder: DataFolder) -> Iterator[Finding]:
    """Yield a finding where the ledger in Redis belongs to another store: a gateway that refused to start can say nothing."""
    try:
        wrong = foreign_ledger(folder.ledger, settings.storage.redis_url)
    except ValueError as error:
        wrong = str(error)
    if wrong is not None:
        yield Finding("redis", ok=False, fact=wrong, mend="faregate config show --origin   (storage.redis_url)")


def _told_of_destinations(gateway: Gateway) -> Sequence[Mapping[str, Any]] | None:
    """Return what the gateway says of its destinations, None if it says nothing."""
    try:
        found: Sequence[Mapping[str, Any]] = AdminClient(gateway.url, gateway.token, patience=_PATIENCE).get(
            "/api/v1/destinations"
        )["destinations"]
    except Failed:
        return None
    return found


def _status_findings(status: Mapping[str, Any]) -> Iterator[Finding]:
    store, journal, recorder = status["store"], status["journal"], status["recorder"]
    ready = store["state"] == "ready"
    fact = f"{store['kind']} is {store['state']}" + (f": {store['error']}" if store["error"] else "")
    yield Finding("store", ok=ready, fact=fact, mend=None if ready else "faregate config show --origin   (storage.database_url)")
    age = journal["oldest_age_seconds"]
    late = age is not None and age > _MOST_BACKLOG_SECONDS
    waits = (
        "nothing waits to be recorded"
        if age is None
        else f"{journal['backlog_bytes'] / _MANY:.1f} MiB wait, the oldest for {age:.0f} s"
    )
    yield Finding(
        "journal",
        ok=not late,
        fact=waits,
        mend="faregate doctor   (again in a minute; the office is recording)" if late else None,
    )
    running = bool(recorder["running"])
    fact = f"{recorder['recorded']} calls recorded since the office started"
    troubles = [f"{recorder[name]} {name}" for name in ("unreadable", "failures") if recorder[name]]
    yield Finding(
        "recorder",
        ok=running,
        fact=", ".join([fact if running else f"it stopped: {recorder['last_error']}", *troubles]),
        mend=None if running else "faregate up   (again)",
    )
    yield _ledger_finding(status["ledger"])


def _ledger_finding(ledger: Mapping[str, Any]) -> Finding:
    error = ledger["last_error"]
    drift = (
        f"{ledger['drift_low']} too low and {ledger['drift_high']} too high"
        if ledger["drift_low"] or ledger["drift_high"]
        else "no drift"
    )
    compared = (
        "not yet compared with the store" if ledger["compared_at"] is None else f"{drift} when last compared with the store"
    )
    fact = f"{ledger['settled']} calls settled, {compared}" if error is None else f"it cannot be used: {error}"
    return Finding(
        "ledger",
        ok=error is None,
        fact=fact,
        mend=None if error is None else "faregate config show --origin   (storage.redis_url)",
    )


def _models_status(upstream: Upstream, credential: str) -> tuple[int, float | None]:
    """Ask an upstream for its models, the cheapest question there is; return the status, and the time by its clock."""
    path = "/v1/models" if upstream.dialect == "anthropic" and not upstream.base_path else f"{upstream.base_path}/models"
    if upstream.dialect == "gemini" and not upstream.base_path:
        path = "/v1beta/models"
    headers = {"user-agent": "faregate-doctor", "accept": "application/json"}
    if upstream.dialect == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    if credential:
        headers |= {"authorization": f"Bearer {credential}"} if upstream.auth == "bearer" else {upstream.auth: credential}
    connection = _connection(upstream)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, _date_of(answer)
    finally:
        connection.close()


def _connection(upstream: Upstream) -> HTTPConnection:
    if upstream.scheme == "http":
        return HTTPConnection(upstream.host, upstream.port, timeout=_PATIENCE)
    trust = ssl.create_default_context()
    if upstream.ca_file:
        trust.load_verify_locations(upstream.ca_file)
    return HTTPSConnection(upstream.host, upstream.port, timeout=_PATIENCE, context=trust)


def _date_of(answer: HTTPResponse) -> float | None:
    try:
        return parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError):
        return f"no answer within {_PATIENCE:g} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

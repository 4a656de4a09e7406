"""What must be right before anything is started, and what `faregate up` needs to know of the settings."""

import importlib.util
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config.errors import SettingsError
from config.loading import Loaded, load_settings
from config.settings import LOCAL_KEY, Settings
from domain.keys import ApiKey
from domain.ledger import LedgerUnavailable
from storage.folder import DataFolder
from storage.keyring import load_keys
from storage.ledger import begin_ledger, foreign_ledger

_POSTGRES_PORT = 5432
_STORE_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start, in plain values: the settings themselves are too heavy for a process that only watches others."""

    host: str
    port: int
    workers: int
    drain: float
    data: str
    office_socket: str
    config: str | None
    store: str
    upstreams: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def plan_for(config: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Plan:
    """Read the settings, make the data folder ready, and return what to start.

    Raises:
        SettingsError: something must be put right first.
    """
    loaded = load_settings(config, environ, flags)
    settings = loaded.settings
    _refuse_without_presidio(settings)
    folder = prepared_folder(settings)
    refuse_open_door(settings, folder)
    refuse_foreign_ledger(settings, folder)
    return Plan(
        host=settings.server.host,
        port=settings.server.port,
        workers=settings.server.workers,
        drain=float(settings.server.drain),
        data=str(folder.path),
        office_socket=str(folder.office_socket),
        config=str(loaded.path) if loaded.path else None,
        store="PostgreSQL" if _is_postgres(settings.storage.database_url) else "SQLite",
        upstreams=tuple(_upstreams(loaded)),
        warnings=(*loaded.warnings, *store_warnings(settings)),
    )


def prepared_folder(settings: Settings) -> DataFolder:
    """Return the data folder, ready for use.

    Raises:
        SettingsError: it cannot be made or written to.
    """
    folder = DataFolder(settings.storage.data)
    try:
        folder.prepare()
        folder.pepper()
        _ = folder.office_socket
        _begin_ledger(settings, folder)
    except OSError as error:
        raise SettingsError(
            [
                f"The data folder {folder.path} cannot be used: {error.strerror or error}.",
                f"It belongs to user {_owner(folder.path)}, and you are user {os.getuid()}; or name another folder:",
                "  faregate up --data DIR",
            ]
        ) from error
    except ValueError as error:
        raise SettingsError(
            [f"The file `pepper` in {folder.path} is damaged; put it back from a backup, or delete it."]
        ) from error
    return folder


def _begin_ledger(settings: Settings, folder: DataFolder) -> None:
    """Make the ledger where nothing was ever recorded, so that the first call need not wait for the office to do so."""
    storage = settings.storage
    used = folder.database.exists() or folder.ledger.exists() or any(folder.journal.iterdir())
    if used or storage.database_url is not None or storage.redis_url is not None:
        return
    with suppress(LedgerUnavailable):  # the office makes it, as soon as it can
        begin_ledger(folder.ledger)


def refuse_foreign_ledger(settings: Settings, folder: DataFolder) -> None:
    """Refuse to spend from the ledger of another store.

    Raises:
        SettingsError: the ledger in Redis is one.
    """
    try:
        wrong = foreign_ledger(folder.ledger, settings.storage.redis_url)
    except ValueError as error:
        raise SettingsError([f"storage.redis_url: {error}"]) from None
    if wrong is not None:
        raise SettingsError([wrong])


def refuse_open_door(settings: Settings, folder: DataFolder) -> None:
    """Refuse to listen where others can reach us while there is no key that they would need.

    Raises:
        SettingsError: there is none.
    """
    if settings.on_loopback or settings.keys or any(_is_good(key) for key in _stored_keys(folder)):
        return
    raise SettingsError(
        [
            f"{settings.server.host} can be reached from other machines, and there is no key yet: everybody could use your upstreams.",
            '  either   FAREGATE_KEYS__APP__SECRET="fg-$(openssl rand -hex 32)" faregate up   (a key from the environment)',
            "  or       faregate up --host 127.0.0.1, then `faregate keys create NAME`, and start again as now",
        ]
    )


def store_warnings(settings: Settings) -> list[str]:
    """Return what is wrong with the store but does not hinder calls: it may come back.

    Raises:
        SettingsError: the store can never be used.
    """
    url = settings.storage.database_url
    if not _is_postgres(url) or url is None:
        return []
    if importlib.util.find_spec("psycopg") is None:
        raise SettingsError(["storage.database_url: PostgreSQL needs one more package: pip install 'faregate[postgres]'"])
    parts = urlsplit(url)
    if not parts.hostname:
        return []
    place = f"{parts.hostname}:{parts.port or _POSTGRES_PORT}"
    try:
        socket.create_connection((parts.hostname, parts.port or _POSTGRES_PORT), _STORE_PATIENCE).close()
    except OSError as error:
        warning = f"The store at {place} cannot be reached ({error.strerror or error})."
        return [f"{warning} Calls are served and kept in the journal until it can; `faregate doctor` says how it is."]
    return []


def _refuse_without_presidio(settings: Settings) -> None:
    """Raise SettingsError where contents could never be looked through, and so never be kept."""
    if settings.redaction.presidio is not None and importlib.util.find_spec("presidio_analyzer") is None:
        raise SettingsError(["redaction.presidio: it needs one more package: pip install 'faregate[presidio]'"])


def _is_postgres(url: str | None) -> bool:
    return url is not None and url.startswith("postgres")


def _stored_keys(folder: DataFolder) -> list[ApiKey]:
    try:
        return load_keys(folder.keys)
    except (OSError, ValueError):
        return []


def _is_good(key: ApiKey) -> bool:
    return key.kind == "managed" and key.revoked_at is None and key.origin != LOCAL_KEY


def _owner(path: Path) -> str:
    """Return who owns the nearest folder that exists."""
    for folder in (path.absolute(), *path.absolute().parents):
        try:
            return str(folder.stat().st_uid)
        except OSError:
            continue
    return "?"  # pragma: no cover - the root exists


def _upstreams(loaded: Loaded) -> list[tuple[str, str]]:
    """Return the upstreams that managed keys can use, each with where its credential came from."""
    found = []
    for name, upstream in loaded.settings.upstreams.items():
        origin = loaded.origins.get(f"upstreams.{name}.api_key") or loaded.origins.get(f"upstreams.{name}.api_keys")
        if upstream.credentials:
            found.append((name, origin or "set"))
        elif not upstream.value(name).needs_key:
            found.append((name, "no key needed"))
    return [*found, ("sim", "built in")]

"""`faregate db`: the store itself. These commands open it, so they are the only ones that import it."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from config.errors import SettingsError
from config.loading import load_settings
from config.settings import Settings
from domain.errors import StoreUnavailable
from gateway.commands.failure import Failed
from gateway.commands.options import config_option, data_option, json_option
from gateway.running.starting import prepared_folder
from storage.database import Database, open_database
from storage.folder import DataFolder
from storage.retention import Pruner
from storage.rollup_rebuild import rebuild_slot

_STEP = 500
_NANOSECONDS = 10**9


@click.group()
def db() -> None:
    """Upgrade, prune, back up and restore the store; make its sums again. The gateway may be running."""


@db.command()
@config_option
@data_option
def upgrade(*, config: Path | None, data: Path | None) -> None:
    """Bring the store's tables to this version, as `faregate up` does by itself."""
    with _store(config, data) as (_, database):
        database.upgrade()
    click.echo("The store is of this version.")


@db.command()
@config_option
@data_option
@json_option
def prune(*, config: Path | None, data: Path | None, as_json: bool) -> None:
    """Delete what is older than record.keep_content and record.keep_spans say, as the office does by itself."""
    contents = spans = 0
    with _store(config, data) as (settings, database):
        now = time.time()
        content_before = int((now - settings.record.keep_content) * _NANOSECONDS)
        spans_before = int((now - settings.record.keep_spans) * _NANOSECONDS)
        database.upgrade()
        pruner = Pruner(database)
        while step := pruner.step(content_before=content_before, spans_before=spans_before, most=_STEP):
            contents += step.contents
            spans += step.spans
    told = f"Deleted the bodies of {contents} calls, and {spans} calls."
    click.echo(json.dumps({"contents": contents, "spans": spans}) if as_json else told)


@db.command(name="rebuild-usage")
@config_option
@data_option
@json_option
def rebuild_usage(*, config: Path | None, data: Path | None, as_json: bool) -> None:
    """Make the sums behind `faregate usage` again from the recorded calls; what was deleted for its age stays as it was summed up."""
    calls = 0
    slot: int | None = 0
    with _store(config, data) as (_, database):
        database.upgrade()
        while slot is not None:
            done = rebuild_slot(database, slot)
            calls, slot = calls + done.calls, done.next_slot
    click.echo(json.dumps({"calls": calls}) if as_json else f"Summed up {calls} calls again.")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@config_option
@data_option
def backup(*, file: Path, config: Path | None, data: Path | None) -> None:
    """Copy the store to FILE, as it is at one moment."""
    with _store(config, data) as (_, database):
        try:
            database.backup(file)
        except FileExistsError:
            raise Failed(f"There is something at {file} already; name another file.") from None
    click.echo(f"The store is copied to {file}.")


@db.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@data_option
def restore(*, file: Path, config: Path | None, data: Path | None) -> None:
    """Put the copy in FILE in the store's place. Stop Faregate first; what was there is kept beside it."""
    with _told():
        settings = load_settings(config, os.environ, {"storage.data": data}).settings
        if settings.storage.database_url is not None:
            raise Failed("The store is not in the data folder: restore it with its own tools (pg_restore).")
        folder = prepared_folder(settings)
    _refuse_while_running(folder)
    _check_copy(file)
    kept = _moved_away(folder.database)
    with sqlite3.connect(file) as source, sqlite3.connect(folder.database) as target:
        source.backup(target)
    source.close()
    target.close()
    folder.database.chmod(0o600)
    with _store(config, data) as (_, database):
        database.upgrade()
    click.echo(f"The store is that of {file}." + (f" What was there is kept as {kept}." if kept else ""))


@contextmanager
def _store(config: Path | None, data: Path | None) -> Iterator[tuple[Settings, Database]]:
    with _told():
        settings = load_settings(config, os.environ, {"storage.data": data}).settings
        folder = prepared_folder(settings)
        database = open_database(settings.storage.database_url or f"sqlite:///{folder.database.absolute()}")
        try:
            if settings.storage.database_url is None and not folder.database.exists():
                database.upgrade()
            yield settings, database
        finally:
            database.close()


@contextmanager
def _told() -> Iterator[None]:
    """Turn what is wrong with the settings or the store into a message."""
    try:
        yield
    except SettingsError as error:
        raise Failed("\n".join(error.problems)) from None
    except StoreUnavailable as error:
        raise Failed(f"{error}\n`faregate doctor` says how the store is.") from error
    except ValueError as error:
        raise Failed(str(error)) from error


def _refuse_while_running(folder: DataFolder) -> None:
    import fcntl  # noqa: PLC0415 - used here alone

    for name in ("up.lock", "office.lock"):
        with (folder.run / name).open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failed(f"Faregate runs on {folder.path}; stop it first, so that nothing is written meanwhile.") from None


def _check_copy(file: Path) -> None:
    """Refuse a file that is not a whole copy of a store."""
    try:
        connection = sqlite3.connect(f"file:{file.absolute()}?mode=ro", uri=True)
        try:
            whole = connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
            ours = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise Failed(f"{file} is not a copy of a store ({error}).") from None
    if not whole or not ours:
        raise Failed(f"{file} is not a whole copy of a store; take another.")


def _moved_away(database: Path) -> Path | None:
    if not database.exists():
        return None
    # What is only in the write-ahead log yet must be in the file that is kept.
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    kept = database.with_name(f"{database.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
    database.rename(kept)
    for rest in ("-wal", "-shm"):
        database.with_name(database.name + rest).unlink(missing_ok=True)
    return kept

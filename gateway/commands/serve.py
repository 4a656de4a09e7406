"""`faregate gate` and `faregate office`: one of the two alone, or as a child of the supervisor."""

import logging
import os
import socket
import sys
from collections.abc import Callable

import click

from config.errors import SettingsError
from config.loading import Loaded, load_settings
from config.settings import Settings
from gateway.commands.failure import Failed
from gateway.commands.options import Asked, serving
from gateway.running.lifeline import stop_with_supervisor
from gateway.running.listening import CannotListen, listening_socket
from gateway.running.local import note_local
from gateway.running.programs import Common, gate_programs
from gateway.running.ready import url_of
from gateway.running.reloading import reloadable
from gateway.running.starting import prepared_folder, refuse_foreign_ledger, refuse_open_door, store_warnings
from gateway.running.supervisor import Signals, Supervisor, open_lifeline
from storage.folder import DataFolder, Local

_FD = click.option("--fd", type=int, hidden=True, help="A socket that listens already.")
_WORKER = click.option("--worker", type=int, default=0, hidden=True, help="Which of several gates this is.")
_LIFELINE = click.option("--lifeline", type=int, hidden=True, help="A pipe that closes when the supervisor is gone.")


@click.command()
@serving
@_FD
@_WORKER
@_LIFELINE
def gate(*, asked: Asked, fd: int | None, worker: int, lifeline: int | None) -> None:
    """Start the gate alone: calls pass and are kept in the journal until an office records them."""
    _log()

    def load() -> Loaded:
        return load_settings(asked.config, os.environ, asked.flags)

    with _told():
        loaded = load()
        folder = DataFolder(loaded.settings.storage.data) if lifeline is not None else prepared_folder(loaded.settings)
        if lifeline is None:
            refuse_open_door(loaded.settings, folder)
            refuse_foreign_ledger(loaded.settings, folder)
    if lifeline is not None:
        stop_with_supervisor(lifeline)
    listener = socket.socket(fileno=fd) if fd is not None else _listener(loaded.settings, folder)
    local = folder.local() if lifeline is not None else _noted(loaded.settings, folder, listener)
    if fd is None and loaded.settings.server.workers > 1:
        sys.exit(_several(loaded, listener, load))
    from gateway.app import serve  # noqa: PLC0415 - it is large, and not needed to say what is wrong with a setting

    serve(_with_local(loaded.settings, local), sock=listener, worker=worker, reload=lambda: _with_local(load().settings, local))


@click.command()
@serving
@_LIFELINE
def office(*, asked: Asked, lifeline: int | None) -> None:
    """Start the office alone: it records what is in the journal, and serves the admin API and the dashboard."""
    _log()
    with _told():
        loaded = load_settings(asked.config, os.environ, asked.flags)
        settings = loaded.settings
        folder = prepared_folder(settings)
        if lifeline is None:
            refuse_foreign_ledger(settings, folder)
            for warning in store_warnings(settings):
                click.echo(f"faregate: {warning}", err=True)
    if lifeline is not None:
        stop_with_supervisor(lifeline)
    known = folder.local()
    local = known or note_local(folder, url_of(settings.server.host, settings.server.port), os.getpid(), os.environ)
    token = os.environ.get("FAREGATE_ADMIN_TOKEN") or local.admin_token
    from gateway.office import serve  # noqa: PLC0415 - as above

    with _told():
        serve(_with_local(settings, local), admin_token=token, places=loaded.places)


class _told:  # noqa: N801 - used as a statement
    """Turns what is wrong with settings or the machine into a message."""

    def __enter__(self) -> None:
        """Do nothing yet."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SettingsError):
            raise Failed("\n".join(error.problems)) from None
        if isinstance(error, OSError | ValueError):
            raise Failed(str(error)) from error


def _log() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


def _with_local(settings: Settings, local: Local | None) -> Settings:
    return settings if local is None else settings.with_local_key(local.key)


def _listener(settings: Settings, folder: DataFolder) -> socket.socket:
    try:
        return listening_socket(settings.server.host, settings.server.port, folder.path)
    except CannotListen as error:
        raise Failed(str(error)) from None


def _noted(settings: Settings, folder: DataFolder, listener: socket.socket) -> Local:
    url = url_of(settings.server.host, listener.getsockname()[1])
    click.echo(f"faregate: the gate listens on {url}", err=True)
    return note_local(folder, url, os.getpid(), os.environ)


def _say(text: str) -> None:
    click.echo(f"faregate: {text}", err=True)


def _several(loaded: Loaded, listener: socket.socket, load: Callable[[], Loaded]) -> int:
    settings = loaded.settings
    lifeline, _kept = open_lifeline()
    data = str(settings.storage.data.absolute())
    common = Common(str(loaded.path) if loaded.path else None, data, settings.server.host, listener.getsockname()[1], lifeline)
    programs = gate_programs(common, settings.server.workers, listener.fileno(), float(settings.server.drain), os.environ)
    with listener, Signals() as signals:
        return Supervisor(programs, _say, lambda: reloadable(load, _say)).run(signals)

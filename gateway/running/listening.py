"""The gate's listening socket. The supervisor opens it, so that callers wait a moment, and are not refused, while a gate starts again."""

import errno
import os
import socket
import time
from pathlib import Path

from gateway.running.ready import gate_answers, reachable_host

_BACKLOG = 2048
_PATIENCE = 5.0
_PAUSE = 0.1


class CannotListen(Exception):
    """The address cannot be listened on; the message says why, and what would help."""


def listening_socket(host: str, port: int, folder: Path) -> socket.socket:
    """Return a socket that listens. `folder` is the data folder: it tells who else of us might have the port.

    Raises:
        CannotListen: it cannot be had.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return _opened(host, port)
        except OSError as error:
            # Gates whose supervisor was killed stop by themselves, and keep the port a moment longer.
            if error.errno != errno.EADDRINUSE or _holder(folder, port) != "orphan" or time.monotonic() > end:
                raise CannotListen(_why(error, host, port, folder)) from error
            time.sleep(_PAUSE)


def _opened(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _why(error: OSError, host: str, port: int, folder: Path) -> str:
    if isinstance(error, socket.gaierror):
        return f"{host} is not an address of this machine ({error.strerror}).\nListen on this machine alone: --host 127.0.0.1"
    if error.errno == errno.EADDRINUSE:
        by = _named(_holder(folder, port), host, port, folder)
        return f"Port {port} on {host} is in use by {by}.\nStop that, or choose another port: --port {port + 1} (--port 0 picks a free one)"
    if error.errno == errno.EACCES:
        return f"Port {port} on {host} is for administrators only.\nChoose one above 1023: --port 8080"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine.\nListen on this machine alone: --host 127.0.0.1"
    return f"{host}:{port} cannot be listened on: {error.strerror}.\nChoose another: --host 127.0.0.1 --port 0"


def _named(holder: str, host: str, port: int, folder: Path) -> str:
    if holder not in {"orphan", "other"}:
        return f"Faregate (process {holder}, data {folder})"
    if holder == "orphan" or gate_answers(reachable_host(host), port, timeout=0.5):
        return "another Faregate"
    return "another program"


def _holder(folder: Path, port: int) -> str:
    """Return the process of our own gateway that has the port, `orphan` if that is gone, or `other`."""
    from storage.folder import DataFolder  # noqa: PLC0415 - the supervisor needs it only when something is wrong

    local = DataFolder(folder).local()
    if local is None or not local.url.endswith(f":{port}"):
        return "other"
    return str(local.pid) if is_alive(local.pid) else "orphan"


def is_alive(pid: int) -> bool:
    """Return whether a process with this number runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

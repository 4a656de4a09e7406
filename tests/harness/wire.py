"""A socket, plain or TLS, that is read by one thread and written by another."""

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable

from tests.harness.messages import Ended

PATIENCE = 30.0
PORTION = 1 << 18


def no_linger(sock: socket.socket) -> None:
    """Make the next close of `sock` a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait until `condition` holds.

    Raises:
        TimeoutError: it did not hold in time.
    """
    deadline = time.monotonic() + patience
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        pause.wait(0.002)


class Wire:
    """One connection. Reads and writes take turns at a lock, as TLS objects bear only one user at a time."""

    def __init__(self, sock: socket.socket) -> None:
        """Take `sock` over."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self._sock = sock
        self._lock = threading.Lock()
        self._closed = False

    def receive(self, patience: float = PATIENCE) -> bytes:
        """Return the bytes of one read.

        Raises:
            Ended: there will be no more, or none came in time.
        """
        deadline = time.monotonic() + patience
        while True:
            if (data := self._read()) is not None:
                return data
            left = deadline - time.monotonic()
            if left <= 0:
                raise Ended("silent")
            self._wait([self._sock], [], min(left, 0.5))

    def _read(self) -> bytes | None:
        try:
            with self._lock:
                if self._closed:
                    raise Ended("closed")
                data = self._sock.recv(PORTION)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLEOFError as error:
            raise Ended("closed") from error
        except OSError as error:
            raise Ended("reset") from error
        if not data:
            raise Ended("closed")
        return data

    def send(self, data: bytes, patience: float = PATIENCE) -> None:
        """Send all of `data`.

        Raises:
            Ended: the other side is gone, or took nothing for `patience` seconds.
        """
        rest = memoryview(data)
        deadline = time.monotonic() + patience
        while rest:
            if sent := self._write(rest[:PORTION]):
                rest = rest[sent:]
                deadline = time.monotonic() + patience
            elif time.monotonic() > deadline:
                raise Ended("silent")
            else:
                self._wait([], [self._sock], 0.5)

    def _write(self, data: memoryview) -> int:
        try:
            with self._lock:
                if self._closed:
                    raise Ended("closed")
                return self._sock.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            raise Ended("reset") from error

    def _wait(self, read: list[socket.socket], write: list[socket.socket], seconds: float) -> None:
        try:
            select.select(read, write, [], seconds)
        except (OSError, ValueError) as error:
            raise Ended("closed") from error

    def half_close(self) -> None:
        """Send FIN, go on reading."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        """Close with FIN, or with RST."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if reset:
                no_linger(self._sock)
            self._wake(socket.SHUT_RD if reset else socket.SHUT_RDWR)
            self._sock.close()

    def _wake(self, how: int) -> None:
        """Wake a reader that waits in another thread: while it does, the system keeps the connection open."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(how)

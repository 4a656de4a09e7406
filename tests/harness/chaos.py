"""A TCP proxy that misbehaves as networks do: slow, broken off, silent, half-closed, a byte at a time.

It stands between a gate and a scripted upstream and knows nothing of HTTP. A fault holds for the bytes that come from now on; "answer" is what comes
from the upstream. Counts begin anew with every piece of a request.
"""

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass

from tests.harness.wire import PATIENCE

PIECE = 65_536


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong.

    Args:
        latency: seconds that each piece of an answer is held back.
        reset_after: break the connection off with RST after so many bytes of an answer; 0 is before its first.
        close_after: end the answer with FIN after so many bytes, and read on (half-close).
        stall_after: pass nothing of an answer on after so many bytes, and keep the connection open (half-open).
        swallow: pass nothing on, in either direction, and keep the connection open (half-open).
        drip: pass an answer on one byte at a time.
        refuse: reset connections as they are accepted.
        waits: break off only when `let_go` is called: what a RST overtakes, its receiver may never see.

    """

    latency: float = 0.0
    reset_after: int | None = None
    close_after: int | None = None
    stall_after: int | None = None
    swallow: bool = False
    drip: bool = False
    refuse: bool = False
    waits: bool = False


NONE = Fault()


class ChaosProxy:
    """Passes connections on to one address."""

    def __init__(self, to: tuple[str, int]) -> None:
        """Listen on a free port of the loopback interface."""
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._fault = NONE
        self.accepted = 0
        self.swallowed = bytearray()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()
        self._let_go = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def fault(self) -> Fault:
        """What goes wrong now."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault) -> None:
        self._let_go.clear()
        self._fault = fault

    def close(self) -> None:
        """Stop listening, and break every connection off."""
        self._closing.set()
        self._let_go.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            _reset(sock)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.fault.refuse:
                _reset(near)
                continue
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._to, PATIENCE)
        except OSError:
            _reset(near)
            return
        for sock in (near, far):
            sock.settimeout(3_600)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(sock)
        link = _Link(self, near, far)
        threading.Thread(target=link.pass_answers, daemon=True).start()
        link.pass_requests()

    def let_go(self) -> None:
        """Break off what waits for it, now and from now on."""
        self._let_go.set()

    def wait(self) -> None:
        """Wait for `let_go`."""
        self._let_go.wait(PATIENCE)

    def forget(self, *socks: socket.socket) -> None:
        """Know that these are closed."""
        self._open.difference_update(socks)

    def pause(self, seconds: float) -> None:
        """Hold a piece back, but not beyond the proxy's own end."""
        if seconds:
            self._closing.wait(seconds)


class _Link:
    """One connection and the one behind it."""

    def __init__(self, proxy: ChaosProxy, near: socket.socket, far: socket.socket) -> None:
        self._proxy = proxy
        self._near = near
        self._far = far
        self._passed = 0

    def pass_requests(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._near.recv(PIECE):
                self._passed = 0
                if self._proxy.fault.swallow:
                    self._proxy.swallowed += data
                else:
                    self._far.sendall(data)
            self._far.shutdown(socket.SHUT_WR)
            return
        self._end()

    def pass_answers(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._far.recv(PIECE):
                if not self._pass(data, self._proxy.fault):
                    return
        self._end()

    def _pass(self, data: bytes, fault: Fault) -> bool:
        """Pass a piece of an answer on; return whether more is passed on after it."""
        self._proxy.pause(fault.latency)
        if fault.swallow:
            return True
        limits = [limit for limit in (fault.reset_after, fault.close_after, fault.stall_after) if limit is not None]
        left = max(limits[0] - self._passed, 0) if limits else len(data)
        self._send(data[:left], drip=fault.drip)
        self._passed += len(data[:left])
        if not limits or left > len(data):
            return True
        if fault.stall_after is not None:
            return True
        if fault.waits:
            self._proxy.wait()
        if fault.close_after is not None:
            self._near.shutdown(socket.SHUT_WR)
        else:
            _reset(self._near)
            _reset(self._far)
            self._proxy.forget(self._near, self._far)
        return False

    def _send(self, data: bytes, *, drip: bool) -> None:
        for start in range(0, len(data), 1 if drip else max(len(data), 1)):
            self._near.sendall(data[start : start + 1] if drip else data)

    def _end(self) -> None:
        for sock in (self._near, self._far):
            with contextlib.suppress(OSError):
                sock.close()
        self._proxy.forget(self._near, self._far)


def _reset(sock: socket.socket) -> None:
    """Close a connection with RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        sock.close()

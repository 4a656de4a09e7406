"""A provider that plays scripts on real sockets, and writes down every byte that it got, and when."""

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.harness import steps
from tests.harness.messages import Body, Ended, Head, Source, read_head, read_request_body
from tests.harness.steps import Script
from tests.harness.wire import PATIENCE, Wire, until

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@dataclass(slots=True)
class Link:
    """One connection: all its bytes, and when they came. Times are of `time.monotonic`."""

    number: int
    raw: bytearray = field(default_factory=bytearray)
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    ended: str | None = None
    ended_at: float | None = None


@dataclass(slots=True)
class Received:
    """One request as it came. `body` is None until the script has read it; `taken` is what `Take` steps read, `flooded` counts what `Flood` sent."""

    link: Link
    head: Head
    at: float
    body: Body | None = None
    taken: bytearray = field(default_factory=bytearray)
    problem: str | None = None
    flooded: int = 0


class Incoming:
    """The reading side of a connection: a thread of its own reads on, so that a close is seen when it happens."""

    def __init__(self, wire: Wire, link: Link) -> None:
        """Begin to read from `wire`."""
        self._wire = wire
        self.link = link
        self._ready: deque[bytes] = deque()
        self._changed = threading.Condition()
        self.reading = threading.Event()
        self.reading.set()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            self.reading.wait()
            try:
                data = self._wire.receive(3600)
            except Ended as end:
                self._finish(end.how)
                return
            with self._changed:
                self.link.raw += data
                self.link.arrivals.append((time.monotonic(), len(self.link.raw)))
                self._ready.append(data)
                self._changed.notify_all()

    def _finish(self, how: str) -> None:
        with self._changed:
            self.link.ended_at = time.monotonic()
            self.link.ended = how
            self._changed.notify_all()

    def receive(self) -> bytes:
        """Return the bytes of one read."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self.link.ended, 3600)
            if self._ready:
                return self._ready.popleft()
            raise Ended(self.link.ended or "silent")

    def wait_until_ended(self, patience: float) -> bool:
        """Wait until the other side is gone."""
        with self._changed:
            return self._changed.wait_for(lambda: self.link.ended is not None, patience)


class ScriptedUpstream:
    """Answers each request with the next script; the last one again and again. Scripts can be planned for a path, too."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port of the loopback interface."""
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.received: list[Received] = []
        self.links: list[Link] = []
        self._scripts: list[Script] = [steps.answer(OK)]
        self._by_path: dict[bytes, Script] = {}
        self._events: dict[str, threading.Event] = {}
        self._open: dict[int, tuple[Wire, Incoming]] = {}
        self._lock = threading.Lock()
        self._generation = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        """Return where this upstream listens."""
        return ("127.0.0.1", self.port)

    def plan(self, *scripts: Script) -> None:
        """Forget what was, and play these scripts from now on, one for each request."""
        with self._lock:
            self.received, self.links = [], []
            self._scripts, self._by_path, self._events = list(scripts), {}, {}
            self._generation += 1

    def plan_path(self, path: bytes, script: Script) -> None:
        """Play this script for every request of a path (its query aside)."""
        self._by_path[path] = script

    def hang_up(self) -> None:
        """Reset every connection that is open."""
        for wire, _ in list(self._open.values()):
            wire.close(reset=True)

    def close(self) -> None:
        """Stop listening and reset every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()

    def signal(self, name: str) -> None:
        """Let a script go on."""
        self._event(name).set()

    def wait(self, name: str, patience: float = PATIENCE) -> None:
        """Wait until a script signals `name`."""
        if not self._event(name).wait(patience):
            raise TimeoutError(f"the upstream never came to {name!r}")

    def wait_for(self, count: int) -> list[Received]:
        """Wait until `count` requests have come whole heads, and return them."""
        until(lambda: len(self.received) >= count, f"the upstream got {len(self.received)} of {count} requests")
        return self.received

    def stop_reading(self) -> None:
        """Read no more from any connection."""
        for _, incoming in list(self._open.values()):
            incoming.reading.clear()

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._open)

    def _event(self, name: str) -> threading.Event:
        with self._lock:
            return self._events.setdefault(name, threading.Event())

    def _accept(self) -> None:
        number = 0
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            number += 1
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        wire = self._wired(sock)
        if wire is None:
            return
        link = Link(number)
        incoming = Incoming(wire, link)
        self._open[number] = (wire, incoming)
        with self._lock:
            self.links.append(link)
        try:
            self._answer_all(wire, incoming)
        except Ended:
            pass
        finally:
            wire.close()
            incoming.reading.set()
            self._open.pop(number, None)

    def _wired(self, sock: socket.socket) -> Wire | None:
        if self._tls is None:
            return Wire(sock)
        try:
            return Wire(self._tls.wrap_socket(sock, server_side=True))
        except OSError:
            sock.close()
            return None

    def _answer_all(self, wire: Wire, incoming: Incoming) -> None:
        source = Source(incoming.receive)
        while True:
            request = Received(incoming.link, read_head(source), time.monotonic())
            player = Player(self, wire, incoming, source, request)
            for step in self._script_for(request):
                if not player.play(step):
                    return

    def _script_for(self, request: Received) -> Script:
        with self._lock:
            self.received.append(request)
            if request.link not in self.links:
                self.links.append(request.link)
            path = request.head.start.split(b" ")[1].split(b"?")[0]
            if path in self._by_path:
                return self._by_path[path]
            return self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]


class Player:
    """Plays the steps of one script."""

    def __init__(self, upstream: ScriptedUpstream, wire: Wire, incoming: Incoming, source: Source, request: Received) -> None:
        """Play on `wire`, for `request`."""
        self._upstream = upstream
        self._wire = wire
        self._incoming = incoming
        self._source = source
        self._request = request
        self._steps: dict[type, Callable[..., bool]] = {
            steps.Send: self._send,
            steps.ReadBody: self._read_body,
            steps.Take: self._take,
            steps.Await: self._await,
            steps.Signal: self._signal,
            steps.AwaitClosed: self._await_closed,
            steps.Linger: self._linger,
            steps.Flood: self._flood,
            steps.Reset: self._reset,
            steps.Close: self._close,
            steps.HalfClose: self._half_close,
        }

    def play(self, step: steps.Step) -> bool:
        """Play one step; return whether the connection lives on."""
        return self._steps[type(step)](step)

    def _send(self, step: steps.Send) -> bool:
        self._wire.send(step.data)
        return True

    def _read_body(self, _: steps.ReadBody) -> bool:
        self._request.body = read_request_body(self._source, self._request.head)
        return self._request.body.ending == "complete"

    def _take(self, step: steps.Take) -> bool:
        self._request.taken += self._source.exactly(step.size)
        return True

    def _await(self, step: steps.Await) -> bool:
        event = self._upstream._event(step.name)
        deadline = time.monotonic() + PATIENCE
        while not event.wait(0.05):
            if self._incoming.link.ended:
                return False
            if time.monotonic() > deadline:
                self._request.problem = f"{step.name!r} was never signalled"
                return False
        return True

    def _signal(self, step: steps.Signal) -> bool:
        self._upstream.signal(step.name)
        return True

    def _await_closed(self, _: steps.AwaitClosed) -> bool:
        if not self._incoming.wait_until_ended(PATIENCE):
            self._request.problem = "the other side did not close"
        return False

    def _linger(self, step: steps.Linger) -> bool:
        return not self._incoming.wait_until_ended(step.seconds)

    def _flood(self, step: steps.Flood) -> bool:
        piece = bytes(step.size)
        for _ in range(step.pieces):
            self._wire.send(piece, 3600)
            self._request.flooded += len(piece)
        return True

    def _reset(self, _: steps.Reset) -> bool:
        self._wire.close(reset=True)
        return False

    def _close(self, _: steps.Close) -> bool:
        self._wire.close()
        return False

    def _half_close(self, _: steps.HalfClose) -> bool:
        self._wire.half_close()
        return True

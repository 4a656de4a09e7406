"""A place to send to: a real HTTP server on a real socket, with scripted answers, that keeps what it got."""

import ssl
import threading
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Got:
    """One request. Header names are lower-case; `body` is unpacked, `raw` as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `after` holds it back until it is set; `reset` closes the connection without any answer; `length=False` sends no Content-Length."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    after: threading.Event | None = None
    reset: bool = False
    length: bool = True


class Sink:
    """A server for one test: `with Sink() as sink: …`. `sink.url` is where it is, without a path.

    Answers: what `script` was given, in order; then what `answering` says, a `Reply` or a function from what was got to one.
    """

    def __init__(self, answering: Reply | Callable[[Got], Reply] = Reply(), *, tls: ssl.SSLContext | None = None) -> None:
        self.answering = answering
        self.got: list[Got] = []
        self.url = ""
        self._tls = tls
        self._scripted: deque[Reply] = deque()
        self._changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def script(self, *replies: Reply) -> None:
        """Answer the next requests with these, in order."""
        with self._changed:
            self._scripted.extend(replies)

    def wait_for(self, count: int, patience: float = PATIENCE) -> list[Got]:
        """Wait until `count` requests have come, and return them all.

        Raises:
            TimeoutError: they did not come in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.got) >= count, patience):
                raise TimeoutError(f"{len(self.got)} requests of {count}")
            return list(self.got)

    @property
    def last(self) -> Got:
        return self.got[-1]

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        scheme = "http"
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _reply_to(self, got: Got) -> Reply:
        with self._changed:
            self.got.append(got)
            self._changed.notify_all()
            if self._scripted:
                return self._scripted.popleft()
        return self.answering if isinstance(self.answering, Reply) else self.answering(got)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no news."""


def _handler(sink: Sink) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - a class within
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body are two writes: the second would wait for the first one's acknowledgement, 40 ms.
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            raw = self._body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            packed = headers.get("content-encoding") == "gzip"
            body = zlib.decompress(raw, wbits=zlib.MAX_WBITS | 16) if packed else raw
            reply = sink._reply_to(Got(self.command, self.path, headers, body, raw))
            if reply.after is not None:
                reply.after.wait(PATIENCE)
            if reply.reset:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(reply.status)
            if reply.content_type:
                self.send_header("content-type", reply.content_type)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.length:
                self.send_header("content-length", str(len(reply.body)))
            else:
                self.send_header("connection", "close")
                self.close_connection = True
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer  # noqa: N815 - the server's names

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding", "") == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("content-length", "0")))

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler

"""A client that sends exact bytes and keeps what comes as it came."""

import socket
import ssl
import time
from dataclasses import dataclass
from typing import Self

from tests.harness.messages import Body, Ended, Head, Source, read_answer_body, read_head
from tests.harness.wire import PATIENCE, Wire

NO_HEAD = Head(b"", (), b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came. `interim` are the 1xx heads before it. Without a head, `body.ending` says how the connection ended."""

    head: Head
    body: Body
    interim: tuple[Head, ...] = ()

    @property
    def status(self) -> int:
        """Return the status, or 0 where there was none."""
        return self.head.status if self.head.start else 0

    def header(self, name: str) -> str | None:
        """Return the first value of a header."""
        value = self.head.value(name.encode())
        return None if value is None else value.decode("latin-1")


class RawClient:
    """One connection to a server. `pieces` are the reads, each with its time."""

    def __init__(self, address: tuple[str, int], *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Connect; a small `receive_buffer` makes a client that the network cannot hide as slow."""
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(address)
            self._wire = Wire(tls.wrap_socket(sock, server_hostname="localhost") if tls else sock)
        except OSError:
            sock.close()
            raise
        self.pieces: list[tuple[float, bytes]] = []
        self._patience = PATIENCE
        self.source = Source(self._receive)
        self._raw = bytearray()
        self._handed = 0
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self) -> bytes:
        if self._handed == len(self._raw):
            self._read(self._patience)
        data = bytes(self._raw[self._handed :])
        self._handed = len(self._raw)
        return data

    def _read(self, patience: float) -> None:
        data = self._wire.receive(patience)
        self.pieces.append((time.monotonic(), data))
        self._raw += data

    def send(self, *pieces: bytes, patience: float = PATIENCE) -> None:
        """Send each piece by itself.

        Raises:
            Ended: the server is gone, or took nothing for `patience` seconds.
        """
        for piece in pieces:
            self._wire.send(piece, patience)

    def until_got(self, data: bytes, patience: float = PATIENCE) -> None:
        """Read until `data` has come, behind what an earlier call waited for. It stays there for `answer`."""
        while (found := self._raw.find(data, self._seen)) < 0:
            self._read(patience)
        self._seen = found + len(data)

    def read_some(self, patience: float = PATIENCE) -> bytes:
        """Return the bytes of one read.

        Raises:
            Ended: there will be no more, or none came in time.
        """
        self._patience = patience
        return self._receive()

    def answer(self, method: bytes = b"POST", patience: float = PATIENCE) -> Answer:
        """Read one answer, with the 1xx answers before it."""
        self._patience = patience
        interim: list[Head] = []
        try:
            head = read_head(self.source)
            while 100 <= head.status < 200 and head.status != 101:
                interim.append(head)
                head = read_head(self.source)
        except Ended as end:
            return Answer(NO_HEAD, Body(self.source.peeked(), ending=end.how), tuple(interim))
        return Answer(head, read_answer_body(self.source, head, method), tuple(interim))

    def ending(self, patience: float = PATIENCE) -> str:
        """Read on until the connection ends, and return how."""
        try:
            while True:
                self.read_some(patience)
        except Ended as end:
            return end.how

    def half_close(self) -> None:
        """Send FIN, go on reading."""
        self._wire.half_close()

    def close(self, *, reset: bool = False) -> None:
        """Close with FIN, or with RST."""
        self._wire.close(reset=reset)

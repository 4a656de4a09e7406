"""Small questions to our own processes, over TCP or a Unix socket, with next to nothing imported: the supervisor asks them."""

import json
import socket
import time
from dataclasses import dataclass
from typing import Any

_LARGEST = 1_048_576


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process of ours listens: `host` and `port`, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def connect(self, timeout: float) -> socket.socket:
        """Return a connection.

        Raises:
            OSError: there is none to be had.
        """
        if not self.path:
            return socket.create_connection((self.host, self.port), timeout)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        try:
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection


def answer_of(place: Place, method: str, target: str, *, token: str = "", timeout: float = 1.0) -> tuple[int, Any] | None:
    """Return the status and the JSON of an answer, or None if there was no such answer within `timeout` seconds."""
    try:
        with place.connect(timeout) as connection:
            connection.sendall(_request(method, target, token))
            head, _, body = _read(connection, time.monotonic() + timeout).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), json.loads(body) if body else None
    except (OSError, ValueError, IndexError):
        return None


def _request(method: str, target: str, token: str) -> bytes:
    authorization = f"authorization: Bearer {token}\r\n" if token else ""
    # HTTP/1.0: the answer ends with the connection, and is in one piece.
    return f"{method} {target} HTTP/1.0\r\nhost: faregate\r\n{authorization}content-length: 0\r\n\r\n".encode()


def _read(connection: socket.socket, deadline: float) -> bytes:
    answer = b""
    while len(answer) < _LARGEST:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(65_536)
        if not piece:
            break
        answer += piece
    return answer

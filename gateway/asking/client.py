"""The admin API of a running gateway, as the commands use it: the standard library and one connection for each question."""

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from gateway.commands.failure import Failed

PATIENCE = 30.0
_AWAY = 503
SILENCE = 60.0
_FIRST_ERROR = 400
_LARGEST = 256 * 2**20


class Away(Failed):
    """The gateway, or the office behind it, does not answer now; it may in a moment."""


def _nothing() -> None:
    """Tell nobody."""


class AdminClient:
    """Asks the gateway at `url`. Proxies of the environment are left alone: it is ours, and near."""

    def __init__(self, url: str, token: str, *, patience: float = PATIENCE) -> None:
        """Ask with the admin token; `patience` is how long an answer may take, in seconds.

        Raises:
            Failed: `url` is not one.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Failed(f"{url!r} is not the address of a gateway.\nWrite one such as http://127.0.0.1:8080")
        self.url = url.rstrip("/")
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._place = (parts.hostname, parts.port)
        self._base = parts.path.rstrip("/")
        self._token = token
        self._patience = patience

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON at `path`.

        Raises:
            Failed: it cannot be had; the message is the gateway's own, where it gave one.
        """
        return json.loads(self.bytes_of("GET", path, params=params)[0])

    def send(self, method: str, path: str, value: Any = None) -> Any:
        """Send JSON with a method that changes something, and return the JSON of the answer.

        Raises:
            Failed: it was refused.
        """
        body, _ = self.bytes_of(method, path, body=None if value is None else json.dumps(value).encode())
        return json.loads(body) if body else None

    def bytes_of(
        self, method: str, path: str, *, params: Mapping[str, Any] | None = None, body: bytes | None = None
    ) -> tuple[bytes, str]:
        """Return the body of an answer, and its content type.

        Raises:
            Failed: it cannot be had.
        """
        with closing(self._connection(self._patience)) as connection:
            try:
                answer = self._asked(connection, method, path, params, body)
                return answer.read(_LARGEST), answer.headers.get("content-type", "")
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error

    def events(
        self, path: str, params: Mapping[str, Any] | None = None, *, begun: Callable[[], None] = _nothing
    ) -> Iterator[tuple[str, Any]]:
        """Yield the server-sent events at `path`, each with its name and its JSON, until the gateway ends them; `begun` hears when they begin.

        Raises:
            Failed: they cannot be had; it is `Away` where they may be later, and where the connection broke.
        """
        with closing(self._connection(SILENCE)) as connection:
            try:
                answer = self._asked(connection, "GET", path, params, None)
                begun()
                yield from events_in(iter(answer.readline, b""))
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error

    def _connection(self, patience: float) -> http.client.HTTPConnection:
        return self._kind(*self._place, timeout=patience)

    def _asked(
        self, connection: http.client.HTTPConnection, method: str, path: str, params: Mapping[str, Any] | None, body: bytes | None
    ) -> http.client.HTTPResponse:
        query = urlencode({name: value for name, value in (params or {}).items() if value is not None})
        headers = {"authorization": f"Bearer {self._token}", **({"content-type": "application/json"} if body is not None else {})}
        connection.request(method, f"{self._base}{path}{'?' if query else ''}{query}", body, headers)
        answer = connection.getresponse()
        if answer.status >= _FIRST_ERROR:
            told = _told(answer.status, answer.read(65_536))
            raise Away(told) if answer.status == _AWAY else Failed(told)
        return answer

    def _unreachable(self, error: Exception) -> Away:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Away(f"Nothing answers at {self.url} ({why}).\nStart it with `faregate up`, or name another one: --url URL")


def events_in(lines: Iterator[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield the name and the JSON of each server-sent event in `lines`."""
    name = "message"
    data: list[str] = []
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield name, json.loads("\n".join(data))
            name, data = "message", []
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))


def in_path(text: str) -> str:
    """Return a name or an id as one segment of a path."""
    return quote(text, safe="")


def _told(status: int, body: bytes) -> str:
    """Return what the gateway said was wrong."""
    try:
        problem = json.loads(body)
        detail = problem.get("detail") or problem.get("error", {}).get("message") or problem.get("title")
    except (ValueError, AttributeError):
        detail = None
    return str(detail or f"The gateway answered with status {status}.")

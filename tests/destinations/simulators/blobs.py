"""Azure Blob Storage as its REST API is documented: shared keys are checked, blobs are kept, errors are XML with a code.

Source: learn.microsoft.com/rest/api/storageservices: authorize with shared key, Put Blob, Get Blob, List Blobs, status and error codes; read 2026-11.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.destinations.sink import Got, Reply

_SIGNED = (
    *("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "if-modified-since"),
    *("if-match", "if-none-match", "if-unmodified-since", "range"),
)
_OFF = timedelta(minutes=15)
_XML = "application/xml"


@dataclass
class Blob:
    data: bytes
    content_type: str


@dataclass
class Blobs:
    """One storage account. `trouble` is the code that a container answers every request with: `ContainerBeingDeleted` (409), say."""

    account: str
    key: str
    containers: dict[str, dict[str, Blob]] = field(default_factory=lambda: {"traces": {}})
    trouble: dict[str, str] = field(default_factory=dict)
    # Tokens that were given out, and what each may: `c` creates, `r` reads, `l` lists.
    tokens: dict[str, str] = field(default_factory=dict)
    largest: int = 5_000 * 2**20

    def __call__(self, got: Got) -> Reply:  # noqa: PLR0911 - one for each answer that there is
        parts = urlsplit(got.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        may = self._may(got, parts.path, query)
        if isinstance(may, Reply):
            return may
        _, _, rest = parts.path.partition("/")
        container, _, name = (unquote(part) for part in rest.partition("/"))
        if container not in self.containers:
            return _error(404, "ContainerNotFound")
        if container in self.trouble:
            return _error(409, self.trouble[container])
        if got.method == "PUT" and name:
            return (
                self._put(got, self.containers[container], name) if "c" in may else _error(403, "AuthorizationPermissionMismatch")
            )
        if query.get("comp") == "list":
            return (
                _listed(self.containers[container], query.get("prefix", ""))
                if "l" in may
                else _error(403, "AuthorizationFailure")
            )
        blob = self.containers[container].get(name)
        if blob is None:
            return _error(404, "BlobNotFound")
        return _answer(
            200, blob.data, blob.content_type, {"etag": _etag(blob.data), "last-modified": _now(), "x-ms-blob-type": "BlockBlob"}
        )

    def _may(self, got: Got, path: str, query: dict[str, str]) -> str | Reply:
        """Return what a request may, or the answer that refuses it."""
        version = got.headers.get("x-ms-version", query.get("sv", ""))
        if not re.fullmatch(r"20\d\d-\d\d-\d\d", version):
            return _error(400, "InvalidHeaderValue")
        if "sig" in query:
            return self.tokens.get(query["sig"]) or _error(403, "AuthenticationFailed")
        if "authorization" not in got.headers:
            return _error(401, "NoAuthenticationInformation")
        told = parsedate_to_datetime(got.headers.get("x-ms-date", got.headers.get("date", "")))
        if abs(datetime.now(UTC) - told) > _OFF:
            return _error(403, "AuthenticationFailed")
        expected = f"SharedKey {self.account}:{self._signature(got, path, query)}"
        return "crl" if hmac.compare_digest(expected, got.headers["authorization"]) else _error(403, "AuthenticationFailed")

    def _signature(self, got: Got, path: str, query: dict[str, str]) -> str:
        headers = dict(got.headers)
        if headers.get("content-length") == "0":
            headers["content-length"] = ""
        if "x-ms-date" in headers:
            headers["date"] = ""
        lines = [got.method, *(headers.get(name, "") for name in _SIGNED)]
        lines += [f"{name}:{headers[name].strip()}" for name in sorted(headers) if name.startswith("x-ms-")]
        lines += [f"/{self.account}{path}", *(f"{name.lower()}:{query[name]}" for name in sorted(query))]
        return base64.b64encode(hmac.digest(base64.b64decode(self.key), "\n".join(lines).encode(), hashlib.sha256)).decode()

    def _put(self, got: Got, blobs: dict[str, Blob], name: str) -> Reply:
        if "content-length" not in got.headers:
            return _error(411, "MissingContentLengthHeader")
        if got.headers.get("x-ms-blob-type") != "BlockBlob":
            return _error(400, "MissingRequiredHeader")
        if len(got.raw) > self.largest:
            return _error(413, "RequestBodyTooLarge")
        if name in blobs and got.headers.get("if-none-match") == "*":
            return _error(409, "BlobAlreadyExists")
        blobs[name] = Blob(got.raw, got.headers.get("x-ms-blob-content-type", got.headers.get("content-type", "")))
        return _answer(201, b"", "", {"etag": _etag(got.raw), "last-modified": _now(), "x-ms-request-server-encrypted": "true"})


def busy() -> Reply:
    """Return the answer of an account that has too much to do."""
    return _error(503, "ServerBusy", {"retry-after": "7"})


def _listed(blobs: dict[str, Blob], prefix: str) -> Reply:
    rows = "".join(
        f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_now()}</Last-Modified>"
        f"<Etag>{_etag(blob.data)}</Etag><Content-Length>{len(blob.data)}</Content-Length>"
        f"<Content-Type>{blob.content_type}</Content-Type><BlobType>BlockBlob</BlobType></Properties></Blob>"
        for name, blob in sorted(blobs.items())
        if name.startswith(prefix)
    )
    text = f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{rows}</Blobs><NextMarker /></EnumerationResults>'
    return _answer(200, text.encode(), _XML, {})


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> Reply:
    text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>It is so.\nRequestId:1</Message></Error>'
    return _answer(status, text.encode(), _XML, {"x-ms-error-code": code, **(headers or {})})


def _answer(status: int, body: bytes, content_type: str, headers: dict[str, str]) -> Reply:
    return Reply(status, body, content_type, {"x-ms-version": "2023-11-03", "x-ms-request-id": "1", **headers})


def _etag(data: bytes) -> str:
    return f'"0x{hashlib.sha256(data).hexdigest()[:15].upper()}"'


def _now() -> str:
    return datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")

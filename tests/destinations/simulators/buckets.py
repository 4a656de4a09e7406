"""Google Cloud Storage as its XML API is documented: tokens that service accounts sign themselves are checked, objects are kept.

Source: cloud.google.com/storage/docs: XML API, request preconditions, status codes; google.aip.dev/auth/4111 (self-signed JWT); read 2026-11.
"""

import base64
import binascii
import hashlib
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.destinations.sink import Got, Reply

EMAIL = "faregate@project.iam.gserviceaccount.com"
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write", "https://www.googleapis.com/auth/cloud-platform")
_LONGEST = 3_600
_XML = "application/xml; charset=UTF-8"


@cache
def private_key(number: int) -> rsa.RSAPrivateKey:
    """Return the private key of a service account; another number is another one's."""
    del number
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def key_file(number: int = 0, **changes: str) -> str:
    """Return the key of a service account as JSON, as the console hands it out."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    told = {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "key-1",
        "private_key": private_key(number).private_bytes(*form).decode(),
        "client_email": EMAIL,
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps(told | changes)


@dataclass
class Buckets:
    """One project. `readers` may read and list only."""

    buckets: dict[str, dict[str, tuple[bytes, str]]] = field(default_factory=lambda: {"traces": {}})
    readers: frozenset[str] = frozenset()
    claims: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, got: Got) -> Reply:
        claims = self._claims(got)
        if claims is None:
            return _error(401, "AuthenticationRequired")
        self.claims.append(claims)
        parts = urlsplit(got.path)
        bucket, _, name = (unquote(part) for part in parts.path.lstrip("/").partition("/"))
        if bucket not in self.buckets:
            return _error(404, "NoSuchBucket")
        objects = self.buckets[bucket]
        if got.method == "PUT" and name:
            return _error(403, "AccessDenied") if claims["iss"] in self.readers else _put(got, objects, name)
        query = parse_qs(parts.query)
        if not name:
            return _listed(objects, query.get("prefix", [""])[0])
        if name not in objects:
            return _error(404, "NoSuchKey")
        data, content_type = objects[name]
        return Reply(200, data, content_type, _headers(data))

    def _claims(self, got: Got) -> dict[str, Any] | None:
        """Return what a token that its service account signed says, None where it is none that holds now."""
        scheme, _, token = got.headers.get("authorization", "").partition(" ")
        try:
            head, body, signature = token.split(".")
            told, claims = (json.loads(_decoded(part)) for part in (head, body))
            private_key(0).public_key().verify(
                _decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (ValueError, binascii.Error, InvalidSignature):
            return None
        now = time.time()
        holds = claims["iat"] <= now + 60 and now < claims["exp"] <= claims["iat"] + _LONGEST
        known = (told["alg"], told["kid"], claims["iss"], claims["sub"]) == ("RS256", "key-1", EMAIL, EMAIL)
        scoped = (
            any(scope in claims.get("scope", "") for scope in _SCOPES) or claims.get("aud") == "https://storage.googleapis.com/"
        )
        return claims if scheme == "Bearer" and holds and known and scoped else None


def _put(got: Got, objects: dict[str, tuple[bytes, str]], name: str) -> Reply:
    if "content-length" not in got.headers:
        return _error(411, "MissingContentLength")
    if got.headers.get("x-goog-if-generation-match") == "0" and name in objects:
        return _error(412, "PreconditionFailed")
    objects[name] = (got.raw, got.headers.get("content-type", ""))
    return Reply(200, b"", "text/html", _headers(got.raw))


def throttled() -> Reply:
    """Return the answer to too many requests."""
    return _error(429, "SlowDown", {"retry-after": "7"})


def _listed(objects: dict[str, tuple[bytes, str]], prefix: str) -> Reply:
    rows = "".join(
        f"<Contents><Key>{escape(name)}</Key><Generation>1</Generation><MetaGeneration>1</MetaGeneration>"
        f"<LastModified>{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}</LastModified><ETag>{_headers(data)['etag']}</ETag>"
        f"<Size>{len(data)}</Size></Contents>"
        for name, (data, _) in sorted(objects.items())
        if name.startswith(prefix)
    )
    text = f"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
    return Reply(200, text.encode(), _XML)


def _headers(data: bytes) -> dict[str, str]:
    made = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return {"etag": f'"{hashlib.sha256(data).hexdigest()[:32]}"', "x-goog-generation": "1", "last-modified": made}


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> Reply:
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>It is so.</Message></Error>"
    return Reply(status, text.encode(), _XML, headers or {})


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""Who is calling: a managed key of ours, a provider's credential that passes through, or nobody, on loopback.

The keys are an immutable snapshot in memory, swapped whole when the file that the office writes has changed.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from domain.errors import AuthenticationFailed
from domain.keys import PREFIX, ApiKey, digest, fingerprint
from gateway.changed_file import ChangedFile
from gateway.wire.heads import BROWSER_KEY, CREDENTIALS, RequestHead, secret_in
from storage.keyring import load_keys

log = logging.getLogger("faregate.gate")

_OURS = PREFIX.encode()
ANONYMOUS = ApiKey(id="anonymous", name="anonymous", digest="", kind="anonymous")
UNKNOWN_KEY = ApiKey(id="unknown", name="unknown", digest="", kind="anonymous")


@dataclass(slots=True)
class Identity:
    """Who is calling, and with what.

    `secret` is the managed secret as it was sent and `where` the lower-case header that held it (`query` and `sec-websocket-protocol` too);
    both None where a credential passes through. `own_credential`: the caller brought a provider's credential beside our key.
    """

    key: ApiKey
    secret: bytes | None = None
    where: bytes | None = None
    own_credential: bool = False


class Keys:
    """Finds the key that a request carries."""

    def __init__(self, path: Path, own: Iterable[ApiKey], pepper: bytes, *, pass_through: bool) -> None:
        """Read keys from the file at `path`, beside `own` ones of the settings; `pass_through` lets callers bring a provider's credential."""
        self._path = path
        self._own = tuple(own)
        self._pass_through = pass_through
        self._file = ChangedFile(path)
        self._known = object()
        self._by_digest: dict[str, ApiKey] = {}
        self._pass_through_key = lru_cache(maxsize=4096)(lambda credential: _pass_through_key(credential, pepper))
        self.refresh()

    def refresh(self) -> bool:
        """Read the file again if it has changed; return whether it had."""
        # A file that cannot be read is tried again when it has changed; until then the last keys serve.
        if not self._file.changed():
            return False
        keys = [*load_keys(self._path), *self._own]
        found = {key.digest: key for key in keys}
        found.update({key.previous: key for key in keys if key.previous})
        self._by_digest = found
        # Whoever was known by the old keys is looked at anew.
        self._known = object()
        return True

    def identity_of(self, head: RequestHead, now: float) -> Identity:
        """Return who sent a request with this head; `now` is in Unix seconds.

        Raises:
            AuthenticationFailed: the key is missing, unknown, expired or revoked, or passing through is off.

        """
        remembered = head.identity
        if remembered is not None and remembered[0] is self._known and now < remembered[2]:
            return remembered[1]  # type: ignore[no-any-return]
        identity = self.identify(head.found, head.place.path.partition(b"?")[2], now)
        head.identity = (self._known, identity, _good_until(identity.key))
        return identity

    def identify(self, found: Mapping[bytes, bytes], query: bytes, now: float) -> Identity:
        """Return who is calling.

        Args:
            found: the request's headers of interest, by lower-case name.
            query: the raw query string.
            now: Unix seconds.

        Raises:
            AuthenticationFailed: the key is missing, unknown, expired or revoked, or passing through is off.

        """
        explicit = found.get(b"x-faregate-key")
        if explicit is not None:
            others = [secret_in(found[name]) for name in CREDENTIALS if name in found]
            brought = any(secret and not secret.startswith(_OURS) for secret in (*others, _elsewhere(found, query)[1]))
            return Identity(self._managed(explicit, now), explicit, b"x-faregate-key", own_credential=brought)
        credential: bytes | None = None
        for name in CREDENTIALS:
            value = found.get(name)
            if value is None:
                continue
            secret = secret_in(value)
            if secret.startswith(_OURS):
                return Identity(self._managed(secret, now), secret, name)
            credential = credential or secret
        where, secret = _elsewhere(found, query)
        if secret.startswith(_OURS):
            return Identity(self._managed(secret, now), secret, where)
        return Identity(self._brought(credential or secret))

    def _managed(self, secret: bytes, now: float) -> ApiKey:
        hashed = digest(secret)
        key = self._by_digest.get(hashed)
        if key is None and self._refreshed():
            key = self._by_digest.get(hashed)
        if key is None:
            raise AuthenticationFailed("This gateway key is unknown. Make one with `faregate keys create NAME`.")
        if key.revoked_at is not None and key.revoked_at <= now:
            raise AuthenticationFailed(
                f"The gateway key {key.name!r} was revoked. Make another with `faregate keys create NAME`."
            )
        if key.expires_at is not None and key.expires_at <= now:
            raise AuthenticationFailed(
                f"The gateway key {key.name!r} has expired. Make another with `faregate keys create NAME`."
            )
        if hashed == key.previous and (key.previous_until is None or key.previous_until <= now):
            raise AuthenticationFailed(f"The gateway key {key.name!r} was rotated. Use its new secret.")
        return key

    def _refreshed(self) -> bool:
        try:
            return self.refresh()
        except (OSError, ValueError) as error:
            log.warning("The keys could not be read again; the last ones serve: %s", error)
            return False

    def _brought(self, credential: bytes) -> ApiKey:
        if not self._pass_through:
            raise AuthenticationFailed("Send your gateway key as `Authorization: Bearer <key>`.")
        return self._pass_through_key(credential) if credential else ANONYMOUS


def _good_until(key: ApiKey) -> float:
    """Return until when (Unix seconds) nothing about `key` changes by itself."""
    return min((at for at in (key.expires_at, key.revoked_at, key.previous_until) if at is not None), default=float("inf"))


def _elsewhere(found: Mapping[bytes, bytes], query: bytes) -> tuple[bytes, bytes]:
    """Return a credential that is in no header of its own: Gemini's `?key=`, or a browser's WebSocket subprotocol."""
    if b"key=" in query:
        for part in query.split(b"&"):
            if part.startswith(b"key="):
                return b"query", unquote(part[4:].decode("latin-1")).encode()
    protocols = found.get(b"sec-websocket-protocol", b"")
    if BROWSER_KEY in protocols:
        for part in protocols.split(b","):
            if part.strip().startswith(BROWSER_KEY):
                return b"sec-websocket-protocol", part.strip()[len(BROWSER_KEY) :]
    return b"", b""


def _pass_through_key(credential: bytes, pepper: bytes) -> ApiKey:
    mark = fingerprint(credential, pepper)
    return ApiKey(id=f"pt-{mark[:24]}", name=f"pass-through-{mark[:8]}", digest=mark, kind="pass_through")

"""A request's head as it goes upstream: the caller's headers, with host, length and credential put in their place."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from domain.upstreams import Upstream
from gateway.wire.heads import Kind, RequestHead, is_ours, is_personal

MOST_OUTGOING = 8
_AUTH_HEADER = {"bearer": b"authorization", "x-api-key": b"x-api-key", "x-goog-api-key": b"x-goog-api-key", "api-key": b"api-key"}


@dataclass(slots=True)
class Credential:
    """What proves the call to an upstream.

    `name` names it in the record. `value` is the upstream's own credential for a managed key, `replaces` the header that held the managed
    key; both None where the caller's own headers pass as they are. `alone`: the call goes to another provider than the one that its caller meant,
    who gets no other credential and no cookie of his.
    """

    name: str
    value: str | None = None
    replaces: bytes | None = None
    alone: bool = False


def outgoing_head(  # noqa: PLR0913 - everything that the head depends on
    head: RequestHead,
    method: bytes,
    path: bytes,
    upstream: Upstream,
    credential: Credential,
    *,
    uncompressed: bool,
    upgrade: bool,
) -> tuple[bytes, bytes]:
    """Return the head to send upstream, in two parts: the body's length, if there is one, goes between them.

    The caller's headers in their order and casing, with what must differ put in their place.
    """
    key = (id(upstream), credential.name, credential.alone, method, path, uncompressed, upgrade)
    known = head.outgoing.get(key)
    if known is not None and known[0] is upstream:
        return known[1], known[2]
    before, after = _written(head, method, path, upstream, credential, uncompressed=uncompressed, upgrade=upgrade)
    if len(head.outgoing) >= MOST_OUTGOING:
        head.outgoing.clear()
    head.outgoing[key] = (upstream, before, after)
    return before, after


def _written(  # noqa: PLR0913 - as `outgoing_head`
    head: RequestHead,
    method: bytes,
    path: bytes,
    upstream: Upstream,
    credential: Credential,
    *,
    uncompressed: bool,
    upgrade: bool,
) -> tuple[bytes, bytes]:
    parts = [b"%b %b HTTP/1.1\r\n" % (method, path)]
    before = b""
    for kind, name, value in _with_credential(head.passing, upstream, credential):
        if kind == "length":
            if not head.coded:
                before, parts = b"".join(parts) + name + b": ", [b"\r\n"]
            continue
        shown = value
        if kind == "host":
            shown = host_of(upstream)
        elif kind == "encoding" and uncompressed:
            shown = b"identity"
        parts += (name, b": ", shown, b"\r\n")
    if upgrade:
        parts.append(b"connection: Upgrade\r\nupgrade: websocket\r\n")
    parts.append(b"\r\n")
    text = b"".join(parts)
    return (before, text) if before else (text, b"")


def _with_credential(
    passing: Iterable[tuple[Kind, bytes, bytes]], upstream: Upstream, credential: Credential
) -> Iterable[tuple[Kind, bytes, bytes]]:
    """Yield the headers with the credential that counts at `upstream` in the place of the one that the caller sent."""
    wanted = _AUTH_HEADER[upstream.auth]
    own = None if credential.value is None else _auth_value(upstream, credential.value)
    as_it_is = credential.value is None and credential.replaces is None and not credential.alone
    for kind, name, value in passing:
        lower = name.lower() if kind == "credential" else b""
        if kind != "credential":
            if not (credential.alone and is_personal(name)):
                yield kind, name, value
        elif as_it_is:
            # The simulated upstream asks for none; our own keys go to nobody.
            if upstream.scheme != "sim" and not is_ours(value):
                yield kind, name, value
        elif lower == wanted and own is not None:
            yield kind, name, own
            own = None
        elif lower not in {credential.replaces, wanted} and not is_ours(value) and not credential.alone:
            yield kind, name, value
    if own is not None:
        yield "credential", wanted, own


def _auth_value(upstream: Upstream, secret: str) -> bytes:
    return b"Bearer " + secret.encode() if upstream.auth == "bearer" else secret.encode()


@lru_cache(maxsize=256)
def host_of(upstream: Upstream) -> bytes:
    """Return the Host header's value for `upstream`."""
    name = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    usual = {"https": 443, "http": 80}.get(upstream.scheme)
    return (name if upstream.port == usual else f"{name}:{upstream.port}").encode()

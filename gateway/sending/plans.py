"""A call's plan: what follows from its head, its key and its model alone, worked out once for calls that are alike."""

from dataclasses import dataclass, field
from typing import Any

from domain.errors import InvalidRequest
from domain.exchange import Capture, Dialect, Labels
from domain.upstreams import Upstream
from gateway.identity import Identity
from gateway.sending.outgoing import Credential
from gateway.sending.routes import Route, Routes, Target, dialect_at
from gateway.wire.heads import RequestHead, is_our_key_parameter
from routing.labels import labels_of

_TIGHTER: dict[bytes, Capture] = {b"full": "full", b"redacted": "redacted", b"meta": "none", b"none": "none"}
_ORDER: tuple[Capture, ...] = ("full", "redacted", "none")
_STREAMING_PATHS = (b"/chat/completions", b"/completions")
_CALLERS_OWN = Credential("caller")


@dataclass(slots=True)
class Plan:
    """What follows from a call's head, its key and its model alone: worked out once for calls that are alike.

    `routes` are those that it was made with; others came with new settings. `opening` is what the record begins with, but for id and time.
    `targets` are all that may be tried. `aims` is for `gateway.sending.choosing`, to remember what each route's upstreams are for such calls.
    """

    identity: Identity
    routes: Routes
    route: Route
    targets: list[Target]
    opening: tuple[str, str, str, Dialect, str, str, str]
    labels: Labels
    capture: Capture
    path: bytes
    may_ask_usage: bool
    aims: dict[int, Any] = field(default_factory=dict)


def planned(  # noqa: PLR0913 - all that it follows from
    routes: Routes, head: RequestHead, identity: Identity, model: str | None, *, method: bytes, capture: Capture
) -> Plan:
    """Return the plan of a call; `capture` is the setting, of which the app may ask for less.

    Raises:
        UnknownUpstream: the path names an upstream that is not configured.

    """
    route = routes.route_for(head.place, model, anthropic=head.anthropic)
    upstream, key = route.upstream, identity.key
    path = head.place.path
    dialect = dialect_at(upstream, path)
    return Plan(
        identity=identity,
        routes=routes,
        route=route,
        targets=[Target(upstream, one) for one in credentials_at(upstream, identity, upstream) or ()],
        opening=(method.decode("latin-1"), head.path, upstream.name, dialect, key.id, key.name, key.project),
        labels=labels_of(head.found, path=head.place.labels, tags=key.tags) if key.tags else head.labels,
        capture="none" if head.secretive else _captured(head.found, capture),
        path=without_our_key(route.path) if head.ours_in_query else route.path,
        may_ask_usage=upstream.dialect == "openai" and path.partition(b"?")[0].endswith(_STREAMING_PATHS),
    )


def _captured(found: dict[bytes, bytes], setting: Capture) -> Capture:
    """Return how much is kept: what the settings say, or less where the app asks for less."""
    asked = found.get(b"x-faregate-capture")
    if asked is None:
        return setting
    return max(_TIGHTER.get(asked.strip().lower(), "full"), setting, key=_ORDER.index)


def credentials_at(upstream: Upstream, identity: Identity, meant: Upstream) -> list[Credential] | None:
    """Return what may prove a call at `upstream`: nothing where it wants a credential and has none.

    None: the caller brought its own, which is for the upstream that it `meant`, and is shown to no other provider.
    """
    same = upstream is meant or (upstream.scheme, upstream.host, upstream.port) == (meant.scheme, meant.host, meant.port)
    if identity.secret is None or identity.own_credential:
        return [_CALLERS_OWN] if same or upstream.scheme == "sim" else None
    return own_credentials(upstream, identity.where, alone=not same)


def own_credentials(upstream: Upstream, where: bytes | None, *, alone: bool) -> list[Credential]:
    """Return the upstream's own credentials, for the place `where` the caller's was; none where it wants one and has none."""
    if not upstream.credentials:
        return [] if upstream.needs_key else [Credential("none", None, where, alone)]
    return [Credential(str(number), secret, where, alone) for number, secret in enumerate(upstream.credentials, 1)]


def no_api_key(upstream: Upstream) -> InvalidRequest:
    """Return what to tell a caller where `upstream` wants a credential and has none."""
    name = upstream.name
    return InvalidRequest(
        f"Upstream {name!r} has no API key. Set it where the gateway runs: "
        f"`{name.upper()}_API_KEY`, or `api_key` in `[upstreams.{name}]`."
    )


def without_our_key(path: bytes) -> bytes:
    """Return the path to send, with our key taken out of its query."""
    before, _, query = path.partition(b"?")
    kept = b"&".join(part for part in query.split(b"&") if not is_our_key_parameter(part))
    return before + b"?" + kept if kept else before

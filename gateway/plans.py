"""A call's plan: what follows from its head, its key and its model alone, worked out once for calls that are alike."""

from dataclasses import dataclass

from domain.exchange import Capture, Dialect, Labels
from domain.upstreams import Upstream
from gateway.heads import RequestHead, is_our_key_parameter
from gateway.identity import Identity
from gateway.outgoing import Credential
from gateway.routes import Route, Routes, Target, dialect_at
from routing.labels import labels_of

_TIGHTER: dict[bytes, Capture] = {b"full": "full", b"redacted": "redacted", b"meta": "none", b"none": "none"}
_ORDER: tuple[Capture, ...] = ("full", "redacted", "none")
_STREAMING_PATHS = (b"/chat/completions", b"/completions")
_CALLERS_OWN = Credential("caller")


@dataclass(slots=True)
class Plan:
    """What follows from a call's head, its key and its model alone: worked out once for calls that are alike.

    `routes` are those that it was made with; others came with new settings. `opening` is what the record begins with, but for id and time.
    `targets` are all that may be tried.
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
        targets=_targets(upstream, identity),
        opening=(method.decode("latin-1"), head.path, upstream.name, dialect, key.id, key.name, key.project),
        labels=labels_of(head.found, path=head.place.labels, tags=key.tags) if key.tags else head.labels,
        capture="none" if head.secretive else _captured(head.found, capture),
        path=_without_our_key(route.path) if head.ours_in_query else route.path,
        may_ask_usage=upstream.dialect == "openai" and path.partition(b"?")[0].endswith(_STREAMING_PATHS),
    )


def _captured(found: dict[bytes, bytes], setting: Capture) -> Capture:
    """Return how much is kept: what the settings say, or less where the app asks for less."""
    asked = found.get(b"x-faregate-capture")
    if asked is None:
        return setting
    return max(_TIGHTER.get(asked.strip().lower(), "full"), setting, key=_ORDER.index)


def _targets(upstream: Upstream, identity: Identity) -> list[Target]:
    """Return every target of a call: one for each credential of the upstream; none where it wants one and has none."""
    if identity.secret is None or identity.own_credential:
        return [Target(upstream, _CALLERS_OWN)]
    if not upstream.credentials:
        return [] if upstream.needs_key else [Target(upstream, Credential("none", None, identity.where))]
    numbered = enumerate(upstream.credentials, 1)
    return [Target(upstream, Credential(str(number), secret, identity.where)) for number, secret in numbered]


def _without_our_key(path: bytes) -> bytes:
    """Return the path to send, with our key taken out of its query."""
    before, _, query = path.partition(b"?")
    kept = b"&".join(part for part in query.split(b"&") if not is_our_key_parameter(part))
    return before + b"?" + kept if kept else before

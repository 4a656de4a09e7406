"""Which upstream serves a call: by path, by `upstream/model`, or the default."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from domain.errors import UnknownUpstream
from domain.exchange import Dialect
from domain.upstreams import Timeouts, Upstream
from gateway.sending.outgoing import Credential
from gateway.wire.targets import Place

_ANTHROPIC = re.compile(rb"/v1/(?:messages|complete)(?:[/?]|$)")
_ANTHROPIC_STARTS = (b"/v1/messages", b"/v1/complete?")
_IN_PATH = re.compile(rb"/(?:models|deployments)/([^/:?]+)")
_IN_QUERY = re.compile(rb"(?:^|&)model=([^&]*)")


@dataclass(slots=True)
class Route:
    """Where a call goes: the upstream, its path there, and the model asked for as the upstream names it."""

    upstream: Upstream
    path: bytes
    model: str | None
    asked_model: str | None

    @property
    def renamed(self) -> bool:
        """Whether the model's name in the request must change."""
        return self.model != self.asked_model


@dataclass(slots=True)
class Target:
    """One try: an upstream, and what proves the call there.

    Where one of `[[routes]]` sends the call, `route` is its path and model at this upstream, and `timeouts` are the route's own; None is what the plan
    and the upstream say.
    """

    upstream: Upstream
    credential: Credential
    route: Route | None = None
    timeouts: Timeouts | None = None

    @property
    def model(self) -> str | None:
        """The model's name as it goes to this upstream, where a route gives it another one than the app."""
        return None if self.route is None or not self.route.renamed else self.route.model


class Routes:
    """The upstreams of this gate, and which of them a call goes to."""

    def __init__(self, upstreams: Mapping[str, Upstream], default: str) -> None:
        """`default` is the upstream of `/v1`."""
        self.upstreams = dict(upstreams)
        self._default = self.upstreams[default]
        self._anthropic = self.upstreams.get("anthropic")

    def route_for(self, place: Place, model: str | None, *, anthropic: bool) -> Route:
        """Return where a call goes. `anthropic`: its headers say that it speaks Anthropic's dialect.

        Raises:
            UnknownUpstream: the path names an upstream that is not configured.

        """
        path, named = place.path, model
        if place.upstream is not None:
            upstream = self.upstreams.get(place.upstream)
            if upstream is None:
                raise UnknownUpstream(f"There is no upstream {place.upstream!r}. Known: {', '.join(sorted(self.upstreams))}.")
        elif self._anthropic is not None and (anthropic or _ANTHROPIC.match(path)):
            upstream = self._anthropic
        else:
            upstream = self._default
        if (named is None and b"model" in path) or b"deployments/" in path:
            named = model_in(path)
        if named is not None and "/" in named:
            first, _, rest = named.partition("/")
            other = self.upstreams.get(first)
            if other is not None and rest and not upstream.own_slashes and (other is upstream or place.upstream is None):
                return Route(other, native_path(other, place, _without_prefix(path, first)), rest, named)
        return Route(upstream, native_path(upstream, place, path), named, named)

    def dialect_of(self, place: Place, *, anthropic: bool) -> Dialect:
        """Return the dialect in which a caller expects errors."""
        if place.upstream in self.upstreams and place.upstream is not None:
            upstream = self.upstreams[place.upstream]
            return upstream.dialect if upstream.scheme != "sim" else ("anthropic" if _ANTHROPIC.match(place.path) else "openai")
        return "anthropic" if anthropic or _ANTHROPIC.match(place.path) else "openai"


def moved(route: Route, place: Place, upstream: Upstream, model: str | None) -> Route:
    """Return where a call of `route` goes at another upstream; with `model`, under another name of its model there."""
    path = place.path
    if route.renamed:
        path = _without_prefix(path, (route.asked_model or "").partition("/")[0])
    if model is None or model == route.model:
        return Route(upstream, native_path(upstream, place, path), route.model, route.asked_model)
    if route.model is not None and model_in(path) == route.model:
        path = _with_model(path, model)
    return Route(upstream, native_path(upstream, place, path), model, route.asked_model)


def dialect_at(upstream: Upstream, path: bytes) -> Dialect:
    """Return the dialect that a call speaks: the upstream's, or what the path says where an upstream speaks several."""
    return "anthropic" if path.startswith(_ANTHROPIC_STARTS) else upstream.dialect


def model_in(path: bytes) -> str | None:
    """Return the model that a path names: Gemini's `/models/x:generateContent`, Azure's `/deployments/x/`, or `?model=x`."""
    before, _, query = path.partition(b"?")
    match = _IN_QUERY.search(query) or (_IN_PATH.search(before) if b":" in before or b"/deployments/" in before else None)
    return unquote(match[1].decode("latin-1")) or None if match else None


def native_path(upstream: Upstream, place: Place, path: bytes) -> bytes:
    """Return the path at the upstream.

    `/v1/x` goes below the base URL of an OpenAI-like upstream. `/{upstream}/x` is the upstream's own path; where it repeats the base URL's
    path, or its `/v1`, that is not doubled.
    """
    base = upstream.base_path.encode()
    if not base:
        return path
    if (place.upstream is not None and path.startswith((base + b"/", base + b"?"))) or (
        place.upstream is not None and path == base
    ):
        return path
    if path.startswith(b"/v1/") and (base.endswith(b"/v1") or place.upstream is None):
        return base + path[3:]
    if path.startswith(b"/v1?") or path == b"/v1":
        return base + path[3:]
    return base + path


def _without_prefix(path: bytes, upstream: str) -> bytes:
    """Return `path` with the upstream taken off its `model=` parameter, if it has one."""
    before, separator, query = path.partition(b"?")
    prefix = upstream.encode()
    for slash in (b"/", b"%2F", b"%2f"):
        query = re.sub(rb"((?:^|&)model=)" + re.escape(prefix + slash), rb"\1", query)
    return before + separator + query


def _with_model(path: bytes, model: str) -> bytes:
    """Return `path` with another model in the place where it names one."""
    before, separator, query = path.partition(b"?")
    wanted = quote(model, safe="").encode()
    if _IN_QUERY.search(query):
        return (
            before + separator + _IN_QUERY.sub(lambda match: match[0][: match.start(1) - match.start()] + wanted, query, count=1)
        )
    match = _IN_PATH.search(before)
    return path if match is None else before[: match.start(1)] + wanted + before[match.end(1) :] + separator + query

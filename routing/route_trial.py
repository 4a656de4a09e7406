"""Routes tried on recorded calls, beside those in force: which calls would go elsewhere, and what that would have cost.

What is known of a recorded call is what was known before it was sent, but for one thing: whether the app itself named the upstream. So a call counts
as one that may go anywhere. What depends on the moment (the fastest, the least busy, a split) is given as all that it may be.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from domain.exchange import Dialect
from domain.spans import Span, usd
from routing.routes import CompiledRoute, Known, RouteRules

PriceOf = Callable[[Span], int | None]
DENIED = "(denied)"


@dataclass(slots=True)
class _Change:
    calls: int = 0
    cost: int = 0
    unknown: bool = False


def tried_routes(  # noqa: PLR0913 - what it is worked out from
    before: RouteRules,
    after: RouteRules,
    spans: Iterable[Span],
    *,
    dialects: Mapping[str, Dialect],
    default: str,
    price: PriceOf,
) -> dict[str, Any]:
    """Return as JSON what `after` would change for recorded calls.

    Args:
        before: the routes in force.
        after: the routes to try.
        spans: the calls.
        dialects: the upstreams there are, and what each speaks.
        default: the upstream of calls that name none.
        price: what a call costs, in pico-USD; None where that is not known.

    """
    matched: Counter[str] = Counter()
    changes: dict[tuple[str, str], _Change] = {}
    for span in spans:
        known = _known(span, dialects, default)
        route = after.verdict(known, _usable).route
        if route is not None:
            matched[route.rule.name] += 1
        now, then = _place(before.verdict(known, _usable).route, known), _place(route, known)
        if now != then:
            _count(changes.setdefault((now, then), _Change()), span, route, price)
    return {
        "routes": [{"route": route.rule.name, "matched": matched[route.rule.name]} for route in after.routes],
        "changes": [_json(now, then, change) for (now, then), change in sorted(changes.items(), key=lambda one: -one[1].calls)],
    }


def _known(span: Span, dialects: Mapping[str, Dialect], default: str) -> Known:
    routed = any(one.kind == "route" and one.matched for one in span.decisions)
    upstream = default if routed or span.upstream not in dialects else span.upstream
    return Known(
        model=span.model,
        upstream=upstream,
        named=False,
        dialect=dialects.get(upstream, "openai"),
        method=span.method,
        path=span.path,
        key=span.key_name,
        project=span.project,
        labels=span.labels,
        at=span.started_at,
        stream=span.stream,
        max_tokens=_whole(span.params.get("max_tokens")),
        n=_whole(span.params.get("choice.count")),
        request_bytes=span.request_bytes,
    )


def _place(route: CompiledRoute | None, known: Known) -> str:
    """Return where a call goes by a route, as an operator would write it."""
    if route is not None and route.rule.deny is not None:
        return DENIED
    if route is None or not route.rule.aims:
        return known.upstream
    aims = [aim.text for aim in route.rule.aims]
    return aims[0] if route.rule.strategy == "order" else " | ".join(aims)


def _count(change: _Change, span: Span, route: CompiledRoute | None, price: PriceOf) -> None:
    change.calls += 1
    cost = _cost(span, route, price)
    if cost is None or span.cost is None:
        change.unknown = True
    else:
        change.cost += cost - span.cost


def _cost(span: Span, route: CompiledRoute | None, price: PriceOf) -> int | None:
    """Return what a call would have cost by a route; None where that is not known, or depends on the moment."""
    if route is not None and route.rule.deny is not None:
        return 0
    if route is None or not route.rule.aims or route.rule.strategy != "order":
        return None
    aim = route.rule.aims[0]
    return price(replace(span, upstream=aim.upstream, model=aim.model or route.rule.model or span.model, served_model=None))


def _json(now: str, then: str, change: _Change) -> dict[str, Any]:
    return {"from": now, "to": then, "calls": change.calls, "cost_change_usd": None if change.unknown else usd(change.cost)}


def _usable(_route: CompiledRoute) -> str | None:
    return None


def _whole(value: Any) -> int | None:
    return value if type(value) is int else None

"""Usage: what was called and spent, summed up by anything, over any period, in any time zone."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.problems import Problem, refuse_unknown
from dashboard.queries import number, once_each
from dashboard.times import NANOSECONDS, instant_of, seconds_of
from domain.budgets import WindowRule
from domain.spans import rfc3339, usd
from domain.windows import window_of, zone_of
from storage.rollup_columns import TOKENS
from storage.rollups import SLOT
from storage.usage import BY, PeriodUsage, Sums, UsageQuery, UsageStore

DEFAULT_LAST = "7d"
DEFAULT_LIMIT, LARGEST_LIMIT, MOST_ROWS = 1000, 100_000, 100_000
MOST_PERIODS, DEEPEST = 3_000, 20
STEPS = ("hour", "day", "week", "month", "quarter")
_LATEST = 366 * 86_400  # after now: clocks may be wrong, and zones ahead
_KNOWN = (*BY, "by", "from", "to", "last", "tz", "step", "estimated", "limit", "section_depth")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of usage: sums, and the borders of the periods that they are of (Unix seconds)."""

    query: UsageQuery
    borders: tuple[int, ...]
    timezone: str
    step: str | None
    depth: int | None

    @property
    def periods(self) -> list[tuple[int, int]]:
        """The periods, from the first to the last."""
        return list(pairwise(self.borders))


async def usage(request: Request) -> Response:
    """`GET /api/v1/usage`."""
    asked = asked_of(request.query_params, time.time())
    store: UsageStore = request.app.state.usage
    return JSONResponse(await run_in_threadpool(answer, store, asked))


ROUTES = [Route("/api/v1/usage", usage)]


def asked_of(params: QueryParams, now: float) -> Asked:
    """Return what query parameters ask for.

    Raises:
        Problem: one is unknown, there twice, or not what it must be.

    """
    given = once_each(params)
    refuse_unknown(given, _KNOWN, "parameter")
    step = _one_of(given, "step", STEPS)
    zone = zone_asked(given)
    start, end = period_of(given, zone, now)
    borders = _borders(start, end, step, zone.key)
    limit = number(given, "limit", DEFAULT_LIMIT, 1, LARGEST_LIMIT)
    query = UsageQuery(
        by=_by(given),
        filters={name: given[name] for name in BY if name in given},
        estimated=_one_of(given, "estimated", ("include", "exclude")) != "exclude",
        most=max(min(limit, MOST_ROWS // (len(borders) - 1)), 1),
    )
    depth = number(given, "section_depth", None, 1, DEEPEST) if "section_depth" in given else None
    return Asked(query, borders, zone.key, step, depth)


def period_of(given: Mapping[str, str], zone: ZoneInfo, now: float, last: str = DEFAULT_LAST) -> tuple[int, int]:
    """Return the period that `from`, `to` and `last` ask for, in Unix seconds, widened to whole quarters of an hour.

    Raises:
        Problem: one is not a time, or the period is empty.

    """
    if "last" in given and ("from" in given or "to" in given):
        raise Problem(400, "Give either `last`, or `from` and `to`.", parameter="last")
    try:
        end = _instant(given.get("to", "now"), zone, now)
        start = _instant(given["from"], zone, now) if "from" in given else end - seconds_of(given.get("last", last))
    except ValueError as error:
        raise Problem(400, str(error)) from None
    start = max(min(start, int(now) + _LATEST), 0) // SLOT * SLOT
    end = -(-max(min(end, int(now) + _LATEST), 0) // SLOT) * SLOT
    if start >= end:
        raise Problem(400, "The period is empty: `from` must be before `to`.", parameter="from")
    return start, end


def _instant(text: str, zone: ZoneInfo, now: float) -> int:
    """Return a time as Unix seconds, rounded up; one that names no zone is in the zone that was asked for."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            return int(at.replace(tzinfo=zone).timestamp())
    except (ValueError, OverflowError):
        pass
    return -(-instant_of(text, now) // NANOSECONDS)


def zone_asked(given: Mapping[str, str]) -> ZoneInfo:
    """Return the time zone in `tz`, UTC if there is none.

    Raises:
        Problem: there is no such zone.

    """
    try:
        return zone_of(given.get("tz", "UTC"))
    except ValueError as error:
        raise Problem(400, f"{error}.", parameter="tz") from None


def _one_of(given: Mapping[str, str], name: str, known: Sequence[str]) -> str | None:
    value = given.get(name)
    if value is not None and value not in known:
        raise Problem(400, f"`{name}` is one of {', '.join(known)}.", parameter=name)
    return value


def _by(given: Mapping[str, str]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in given["by"].split(",")) if given.get("by") else ()
    refuse_unknown(names, BY, "thing to sum by:")
    return tuple(dict.fromkeys(names))


def _borders(start: int, end: int, step: str | None, timezone: str) -> tuple[int, ...]:
    """Return where periods begin, and where the last one ends. All zones since 1972 begin their days at a quarter of an hour."""
    if step is None:
        return start, end
    rule = WindowRule(cast("Literal['day']", step), timezone)
    borders = [start]
    while (border := (window_of(rule, borders[-1]).end or end) // SLOT * SLOT) < end:
        borders.append(max(border, borders[-1] + SLOT))
        if len(borders) > MOST_PERIODS:
            raise Problem(400, f"That would be more than {MOST_PERIODS} periods; choose a longer `step`.", parameter="step")
    return *borders, end


def answer(store: UsageStore, asked: Asked) -> dict[str, Any]:
    """Return sums as JSON. A cost of which nothing is known is null; beside any sum stands how many calls are not in it."""
    periods = store.usage(asked.query, asked.periods)
    if asked.depth is not None and "section" in asked.query.by:
        at = asked.query.by.index("section")
        periods = [replace(period, groups=_cut(period.groups, at, asked.depth)) for period in periods]
    totals = Sums()
    for period in periods:
        totals = totals.plus(period.total)
    return {
        "from": _time(asked.borders[0]),
        "to": _time(asked.borders[-1]),
        "timezone": asked.timezone,
        "step": asked.step,
        "by": list(asked.query.by),
        "estimated": "include" if asked.query.estimated else "exclude",
        "rows": [row for period in periods for row in _rows(period, asked.query.by)],
        "rest": [_span(period) | sums_json(period.rest) for period in periods if period.rest is not None],
        "periods": None if asked.step is None else [_span(period) | sums_json(period.total) for period in periods],
        "totals": sums_json(totals),
        "folded_calls": store.folded(asked.borders[0], asked.borders[-1]),
    }


def _rows(period: PeriodUsage, by: Sequence[str]) -> Iterator[dict[str, Any]]:
    for group, sums in period.groups:
        yield _span(period) | dict(zip(by, group, strict=True)) | sums_json(sums)


def _span(period: PeriodUsage) -> dict[str, Any]:
    return {"start": _time(period.start), "end": _time(period.end)}


def _time(seconds: int) -> str:
    return rfc3339(seconds * NANOSECONDS)


def sums_json(sums: Sums) -> dict[str, Any]:
    """Return sums as JSON: money as decimal strings, null where nothing is known."""
    return {
        "calls": sums.calls,
        "cost_usd": None if sums.unpriced and not sums.cost else usd(sums.cost),
        "unknown_cost_calls": sums.unpriced,
        "estimated_calls": sums.estimated_calls,
        "estimated_cost_usd": usd(sums.estimated_cost),
        "usage": dict(zip(TOKENS, sums.tokens, strict=True)),
        "latency_ms_mean": sums.latency_us / sums.timed / 1000 if sums.timed else None,
    }


def _cut(groups: Sequence[tuple[tuple[str | None, ...], Sums]], at: int, depth: int) -> list[tuple[tuple[str | None, ...], Sums]]:
    """Sum groups up whose sections begin with the same `depth` parts."""
    found: dict[tuple[str | None, ...], Sums] = {}
    for group, sums in groups:
        section = group[at]
        short = None if section is None else "/".join(section.split("/")[:depth])
        key = (*group[:at], short, *group[at + 1 :])
        found[key] = found[key].plus(sums) if key in found else sums
    return sorted(found.items(), key=lambda one: -one[1].cost)

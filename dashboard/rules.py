"""Rules: those in force, and others tried on recorded calls before they are switched on."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.problems import Problem, json_object, refuse_unknown
from dashboard.queries import instant
from domain.deliveries import ContentMode, Owed
from domain.spans import Span, rfc3339, usd
from routing.rule_trial import MOST_REASONS, DestinationTally, RuleTally, RuleTrial
from routing.rules import RuleValue, SpanRules, Takes, WrongRules
from routing.where import Where, compile_where
from storage.spans import CallQuery, SpanStore

DEFAULT_LAST, MOST_CALLS, LONGEST_TRIAL, STEP = 1_000, 20_000, 15.0, 200
LARGEST_BODY = 1024 * 1024
_FIELDS = ("rules", "routes", "last", "from", "to", "where", "explain")


@dataclass(frozen=True, slots=True)
class RuleDesk:
    """What the admin API works on rules with.

    `rules` are those in force. `takes` and `contents` say what each destination takes, and how much of bodies it gets by its own settings;
    `channels` are those for people, which get calls only where a rule says so.
    `read` makes rules of documents (raises `WrongRules`). `places` says where the settings have each rule, by its name.
    `routes` says of routes (as documents) what they would change for recorded calls, as JSON; None where nothing can say so.
    """

    rules: SpanRules
    takes: Mapping[str, Takes]
    contents: Mapping[str, ContentMode]
    read: Callable[[Any], Sequence[RuleValue]]
    places: Mapping[str, str]
    routes: Callable[[Any, Sequence[Span]], Mapping[str, Any]] | None = None
    channels: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a trial: rules, and the calls to try them on."""

    rules: SpanRules
    routes: Any
    query: CallQuery
    last: int
    where: Where | None
    explain: str | None


async def list_rules(request: Request) -> Response:
    """`GET /api/v1/rules`."""
    refuse_unknown(request.query_params, (), "parameter")
    desk = _desk(request)
    return JSONResponse(
        {
            "rules": [rule_json(value, desk.places) for value in desk.rules.written],
            "in_force": [value.name for value in desk.rules.values],
            "implicit": [rule_json(value, {}) for value in desk.rules.values if value not in desk.rules.written],
            "destinations": dict(desk.takes),
        }
    )


async def test_rules(request: Request) -> Response:
    """`POST /api/v1/rules/test`."""
    desk = _desk(request)
    body = await json_object(request, _FIELDS, LARGEST_BODY)
    store: SpanStore = request.app.state.spans
    return JSONResponse(await run_in_threadpool(_tested, desk, store, body))


ROUTES = [Route("/api/v1/rules", list_rules), Route("/api/v1/rules/test", test_rules, methods=["POST"])]


def rule_json(value: RuleValue, places: Mapping[str, str]) -> dict[str, Any]:
    """Return a rule as JSON."""
    return {
        "name": value.name,
        "when": value.when,
        "send_to": list(value.send_to),
        "sample": value.sample,
        "sample_by": value.sample_by,
        "always": value.always,
        "split": dict(value.split),
        "otherwise": value.otherwise,
        "set": dict(value.set),
        "content": value.content,
        "redact": None if value.redact is None else list(value.redact),
        "drop": value.drop,
        "events": list(value.events),
        "enabled": value.enabled,
        "place": places.get(value.name),
    }


def _tested(desk: RuleDesk, store: SpanStore, body: Mapping[str, Any]) -> dict[str, Any]:
    asked = _asked(desk, body, time.time())
    if asked.explain is not None:
        return _explained(desk, store, asked)
    return _tried(desk, store, asked, time.monotonic() + LONGEST_TRIAL)


def _asked(desk: RuleDesk, body: Mapping[str, Any], now: float) -> Asked:
    last = body.get("last", DEFAULT_LAST)
    if type(last) is not int or not 1 <= last <= MOST_CALLS:
        raise Problem(400, f"`last` is a number from 1 to {MOST_CALLS}.", parameter="last")
    query = CallQuery(since=instant(body, "from", now), until=instant(body, "to", now))
    explain = body.get("explain")
    if explain is not None and not isinstance(explain, str):
        raise Problem(400, "`explain` is the id of a call.", parameter="explain")
    return Asked(_rules(desk, body.get("rules")), body.get("routes"), query, last, _where(body.get("where")), explain)


def _rules(desk: RuleDesk, documents: Any) -> SpanRules:
    """Return the rules to try; those in force where none are given."""
    if documents is None:
        return desk.rules
    try:
        return SpanRules(desk.read(documents), desk.takes, desk.channels)
    except WrongRules as error:
        wrong = [
            {"number": one.number + 1, "rule": one.rule, "setting": one.setting, "message": one.message} for one in error.problems
        ]
        raise Problem(400, f"The rules cannot be used:\n{error}", parameter="rules", problems=wrong) from None


def _where(text: Any) -> Where | None:
    if text is None:
        return None
    try:
        return compile_where(text if isinstance(text, str) else "")
    except ValueError as error:
        raise Problem(400, str(error), parameter="where") from None


def _tried(desk: RuleDesk, store: SpanStore, asked: Asked, deadline: float) -> dict[str, Any]:
    """Try rules on calls, newest first, within bounds of number and time."""
    trial = RuleTrial(desk.rules, asked.rules, {name: desk.contents.get(name, "full") for name in desk.takes})
    spans: list[Span] = []
    query, complete = replace(asked.query, limit=min(STEP, asked.last)), True
    first = newest = None
    while trial.calls < asked.last:
        page = store.calls(query)
        for span in page.spans:
            if trial.calls < asked.last and (asked.where is None or asked.where.matches(span)):
                trial.add(span)
                first, newest = span.started_at, newest or span.started_at
                spans += [span] if asked.routes is not None and desk.routes is not None else []
        if page.next_cursor is None:
            break
        if time.monotonic() > deadline:
            complete = False
            break
        query = replace(query, cursor=page.next_cursor)
    return {
        "calls": trial.calls,
        "from": None if first is None else rfc3339(first),
        "to": None if newest is None else rfc3339(newest),
        "complete": complete,
        "rules": [_rule_tally(tally, trial.calls) for tally in trial.rules.values()],
        "destinations": [_destination_tally(tally) for tally in trial.destinations.values()],
        "told_to_nobody": {"before": trial.nobody_before, "after": trial.nobody_after},
        "routes": _routes(desk, asked.routes, spans),
    }


def _routes(desk: RuleDesk, documents: Any, spans: Sequence[Span]) -> Mapping[str, Any] | None:
    if documents is None or desk.routes is None:
        return None
    try:
        return desk.routes(documents, spans)
    except ValueError as error:
        raise Problem(400, f"The routes cannot be used:\n{error}", parameter="routes") from None


def _rule_tally(tally: RuleTally, calls: int) -> dict[str, Any]:
    return {
        "rule": tally.name,
        "matched": tally.matched,
        "share": tally.matched / calls if calls else None,
        "cost_usd": None if tally.unpriced == tally.matched and tally.matched else usd(tally.cost),
        "unknown_cost_calls": tally.unpriced,
        "examples": tally.examples,
        "why_not": [{"why": why, "calls": count} for why, count in tally.why.most_common(MOST_REASONS)],
    }


def _destination_tally(tally: DestinationTally) -> dict[str, Any]:
    return {
        "destination": tally.name,
        "calls_before": tally.before,
        "calls_after": tally.after,
        "gained": tally.gained,
        "lost": tally.lost,
        "changed": tally.changed,
        "bytes_before": tally.bytes_before,
        "bytes_after": tally.bytes_after,
    }


def _explained(desk: RuleDesk, store: SpanStore, asked: Asked) -> dict[str, Any]:
    """Return what every rule says of one call, and what was decided when it was recorded."""
    span = store.span((asked.explain or "").replace("-", "").lower())
    if span is None:
        raise Problem(404, "There is no call with this id; it may have been deleted for its age, or not be recorded yet.")
    ruling = asked.rules.decide(span)
    return {
        "id": span.id,
        "decisions": [{"rule": one.rule, "matched": one.matched, "why": one.why} for one in ruling.decisions],
        "values": asked.rules.known(span),
        "owed": [_owed_json(one, desk) for one in ruling.owed],
        "recorded": [{"kind": one.kind, "rule": one.rule, "matched": one.matched, "why": one.why} for one in span.decisions],
    }


def _owed_json(owed: Owed, desk: RuleDesk) -> dict[str, Any]:
    return {
        "destination": owed.destination,
        "content": owed.content or desk.contents.get(owed.destination, "full"),
        "redact": None if owed.redact is None else list(owed.redact),
        "set": dict(owed.extra),
        "otherwise": owed.otherwise,
    }


def _desk(request: Request) -> RuleDesk:
    desk: RuleDesk | None = request.app.state.rules
    if desk is None:
        raise Problem(404, "This office has no rules.")
    return desk

"""What choosing by ten routes costs the gate: conditions, decisions and targets, without sockets."""

import gc
import time
from random import Random
from typing import Any, cast

from domain.exchange import Labels
from domain.ids import new_id
from domain.keys import ApiKey
from domain.routes import Aim, RouteRule
from domain.upstreams import Upstream
from gateway.identity import Identity
from gateway.sending.aims import Sending
from gateway.sending.choosing import Choosing
from gateway.sending.plans import planned
from gateway.sending.routes import Routes
from gateway.sending.shaping import Admitted
from gateway.sending.upstreams import Upstreams
from gateway.wire.heads import head_of
from gateway.wire.peek import asked_in
from routing.routes import RouteRules

CALLS, ROUNDS = 2_000, 7
CONDITIONS = (
    'model.startsWith("gpt-3") && customer == "acme"',
    'tags.team == "research" && max_tokens > 4000',
    'key == "nightly" && model == "o3"',
    "request_bytes > 1000000",
    'stream && model.startsWith("claude")',
    'env == "staging"',
    'session.startsWith("batch-")',
    'project == "research" && max_tokens > 100',
    'path.endsWith("/embeddings")',
    'model in ["gpt-4o", "gpt-4o-mini"] || customer == "acme"',
)
BODY = b'{"model":"gpt-4o","max_tokens":500,"messages":[{"role":"user","content":"%b"}]}' % (b"x" * 600)
HEADERS = [(b"host", b"gate"), (b"content-type", b"application/json"), (b"authorization", b"Bearer fg-key")]


def choosing_us() -> tuple[float, float]:
    """Return the microseconds of a call under ten routes of which the last matches: with sessions that come again, and with one for each call."""
    choosing, routes = _parts()
    known = [_sending(routes, f"session-{number % 20}") for number in range(CALLS)]
    new = [_sending(routes, f"session-{number}") for number in range(CALLS)]
    return _each_us(choosing, known), _each_us(choosing, new)


def _each_us(choosing: Choosing, calls: list[Sending]) -> float:
    found = []
    gc.disable()  # the gate collects garbage rarely (`gateway.calm`)
    for _ in range(ROUNDS):
        began = time.thread_time()
        for sending in calls:
            choosing.choose(sending)
        found.append((time.thread_time() - began) / len(calls) * 1e6)
    gc.enable()
    assert choosing.choose(calls[0]).decisions[-1].matched
    # The least: whatever else the machine does only adds to it.
    return min(found)


def _parts() -> tuple[Choosing, Routes]:
    names = ("openai", "azure")
    upstreams = {name: Upstream(name, "https", f"{name}.test", 443, "/v1", credentials=("secret",)) for name in names}
    rules = [RouteRule(f"route {number}", text, (Aim("azure"), Aim("openai"))) for number, text in enumerate(CONDITIONS, 1)]
    routes = Routes(upstreams, "openai")
    nothing = cast("Any", None)  # no connection is ever opened
    random = Random(1)
    choosing = Choosing(RouteRules(rules), routes, Upstreams(nothing, nothing, nothing), random=random, clock=time.monotonic)
    return choosing, routes


def _sending(routes: Routes, session: str) -> Sending:
    head, _ = head_of(b"/v1/chat/completions", [*HEADERS, (b"x-faregate-session", session.encode())], http11=True)
    identity = Identity(ApiKey("k-1", "ci", "", project="search"), b"fg-key", b"authorization")
    asked = asked_in(BODY)
    plan = planned(routes, head, identity, asked.model, method=b"POST", capture="full")
    call = Admitted(head, BODY, asked, plan, ask_usage=False, edits=())
    labels = Labels(session=session, customer="globex", env="prod", tags={"team": "search", "app": "web"})
    return Sending(new_id(1), time.time_ns(), call, labels, b"POST", True, len(BODY))

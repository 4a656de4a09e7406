"""Routed calls through the proxy, on real sockets: what strategies measure, what each upstream is asked for, and further tries."""

import asyncio
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.routes import RouteSettings
from config.settings import Settings, StorageSettings
from domain.errors import BudgetExceeded
from domain.prices import ATTO_PER_USD, Override
from domain.routes import Aim, Retries, RouteRule
from gateway.app import Parts
from gateway.identity import BROWSER_KEY
from gateway.proxy import Proxy
from gateway.sending.choosing import Choosing
from gateway.sending.quoting import Quotes
from gateway.sending.routes import Routes
from pricing.book import PriceBook
from pricing.published import FILE, published_text
from routing.routes import RouteRules
from tests.gateway.calling import JSON, OURS, SECRET, THEIRS, Calling, FakeCaller
from tests.gateway.holding_parts import DEAR, OWN, budget, cost, house
from tests.harness import steps
from tests.harness.upstream import OK, ScriptedUpstream

BODY = b'{"model":"m","max_tokens":100,"messages":[]}'
NANO = ATTO_PER_USD // 10**9
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"
PROTOCOL = b"Sec-WebSocket-Protocol"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 14\r\n\r\ndata: [DONE]\n\n"


def routed(calling: Calling, other: ScriptedUpstream, rule: RouteRule, *, quotes: Quotes | None = None, **there) -> Proxy:
    """Return a proxy with the upstreams `up` and `other`, and one route."""
    proxy = calling.proxy()
    second = calling.target(**({"name": "other", "port": other.port} | there))
    routes = Routes({"up": calling.target(), "other": second}, "up")
    proxy.take(keys=proxy.keys, routes=routes, capture="full")
    clock = asyncio.get_running_loop().time
    proxy.choose_by(Choosing(RouteRules([rule]), routes, calling.upstreams, random=Random(7), clock=clock, quotes=quotes), None)
    return proxy


def both(**fields) -> RouteRule:
    return RouteRule("r", None, (Aim("up"), Aim("other")), **fields)


def served(caller: FakeCaller) -> tuple[bytes, bytes]:
    """Return who answered, and after how many tries."""
    headers = dict(caller.headers)
    return headers[b"x-faregate-upstream"], headers[b"x-faregate-attempts"]


async def test_first_bytes_are_measured_as_calls_are_made(calling, other):
    proxy = routed(calling, other, both(strategy="fastest"))
    first = [served(await calling.call(proxy, BODY, OURS, JSON))[0] for _ in range(2)]
    await calling.call(proxy, BODY, OURS, JSON)

    assert first == [b"up", b"other"], "what was not measured goes first"
    why = calling.records()[-1].opening.decisions[-1].why
    assert "fastest first (up " in why
    assert "not measured" not in why


async def test_an_upstream_that_does_not_have_the_model_is_asked_once(calling, other):
    calling.upstream.plan(steps.answer(NOT_FOUND))
    proxy = routed(calling, other, both(strategy="fastest"))
    callers = [await calling.call(proxy, BODY, OURS, JSON) for _ in range(6)]

    assert [served(caller)[0] for caller in callers] == [b"up", *[b"other"] * 5]
    assert callers[0].status == 404
    assert "(up fails, other " in calling.records()[-1].opening.decisions[-1].why


async def test_that_nobody_answers_is_known_of_each_upstream(calling, other):
    for provider in (calling.upstream, other):
        provider.plan((steps.ReadBody(), steps.Reset()))
    proxy = routed(calling, other, both(strategy="fastest"))
    assert (await calling.call(proxy, BODY, OURS, JSON)).status == 502
    await calling.call(proxy, BODY, OURS, JSON)

    assert "(up fails, other fails)" in calling.records()[-1].opening.decisions[-1].why


async def test_a_caller_that_leaves_says_nothing_of_an_upstream(calling, other):
    calling.upstream.plan((steps.ReadBody(), steps.AwaitClosed()))
    proxy = routed(calling, other, both(strategy="fastest"))
    leaving = asyncio.create_task(calling.call(proxy, BODY, OURS, JSON))
    await asyncio.to_thread(calling.upstream.wait_for, 1)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await calling.call(proxy, BODY, OURS, JSON)

    assert "(up not measured, other not measured)" in calling.records()[-1].opening.decisions[-1].why


async def test_the_least_busy_is_who_has_the_fewest_calls_now(calling, other):
    calling.upstream.plan((steps.ReadBody(), steps.Await("go on"), steps.Send(OK)))
    proxy = routed(calling, other, both(strategy="least-busy"))
    running = asyncio.create_task(calling.call(proxy, BODY, OURS, JSON))
    await asyncio.to_thread(calling.upstream.wait_for, 1)

    assert served(await calling.call(proxy, BODY, OURS, JSON))[0] == b"other"

    calling.upstream.signal("go on")
    assert served(await running)[0] == b"up"
    assert calling.upstreams.running(calling.target()) == 0
    calling.upstream.plan(steps.answer(OK))
    assert served(await calling.call(proxy, BODY, OURS, JSON))[0] == b"up"


def quotes_of(folder: Path, **rates: int) -> Quotes:
    """Return quotes by so many nano-USD a token of input or output at each upstream."""
    overrides = [
        Override(name, {"input": rate * NANO, "output": rate * NANO}, upstream=name, model="m*") for name, rate in rates.items()
    ]
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_bytes(published_text(None, overrides))
    return Quotes(folder)


async def test_the_cheapest_is_known_by_the_prices_in_force(calling, other, tmp_path):
    quotes = quotes_of(tmp_path / "data", up=5, other=2)
    proxy = routed(calling, other, both(strategy="cheapest"), quotes=quotes)
    assert served(await calling.call(proxy, BODY, OURS, JSON))[0] == b"other"

    quotes_of(tmp_path / "data", up=1, other=2)
    quotes.refresh()
    assert served(await calling.call(proxy, BODY, OURS, JSON))[0] == b"up"
    assert "cheapest first (up $0." in calling.records()[-1].opening.decisions[-1].why


async def test_what_has_no_price_is_not_cheap(calling, other, tmp_path):
    proxy = routed(calling, other, both(strategy="cheapest"), quotes=quotes_of(tmp_path / "data", other=1_000))
    assert served(await calling.call(proxy, BODY, OURS, JSON))[0] == b"other"


async def test_each_upstream_is_asked_for_usage_only_where_it_knows_how(calling, other):
    calling.upstream.plan(steps.answer(BUSY))
    other.plan(steps.answer(EVENTS))
    proxy = routed(calling, other, both(), ask_usage=False)
    body = b'{"model":"m","stream":true}'
    caller = await calling.call(proxy, body, OURS, JSON)

    assert json.loads(calling.upstream.received[0].body.data)["stream_options"] == {"include_usage": True}
    assert other.received[0].body.data == body
    assert caller.answer == b"data: [DONE]\n\n"
    assert calling.records()[0].closing.changes == ()


async def test_a_model_that_is_renamed_in_the_path_is_written_down_beside_what_else_is_changed(calling, other):
    rule = RouteRule("r", None, (Aim("other", "n"),))
    proxy = routed(calling, other, rule, dialect="openai")
    target = b"/v1/deployments/m/chat/completions"
    for body in (b'{"messages":[]}', b'{"messages":[],"faregate":{"user":"u"}}'):
        await calling.call(proxy, body, OURS, JSON, target=target)

    assert [record.closing.changes for record in calling.records()] == [("model",), ("model", "faregate")]
    assert {one.head.start for one in other.received} == {b"POST /v1/deployments/n/chat/completions HTTP/1.1"}


THEIR_TOKEN = BROWSER_KEY + b"sk-" + b"of-the-caller"
OUR_TOKEN = BROWSER_KEY + SECRET.encode()


@pytest.mark.parametrize(
    ("headers", "protocols", "to"),
    [
        ([OURS, (PROTOCOL, b"realtime," + THEIR_TOKEN)], [b"realtime"], "other"),
        ([OURS, (PROTOCOL, b"realtime," + THEIR_TOKEN)], [b"realtime"], "up"),
        ([OURS, (PROTOCOL, b"realtime"), (PROTOCOL, THEIR_TOKEN)], [b"realtime"], "other"),
        ([OURS, (PROTOCOL, b"realtime"), (PROTOCOL, OUR_TOKEN)], [b"realtime"], "other"),
        ([(PROTOCOL, OUR_TOKEN + b", " + THEIR_TOKEN)], [BROWSER_KEY + THEIRS.encode()], "other"),
        ([(PROTOCOL, b"realtime," + THEIR_TOKEN)], [b"realtime," + THEIR_TOKEN], "up"),
    ],
    ids=["moved", "not moved", "two headers", "two headers, ours", "ours and theirs", "passed through as it is"],
)
async def test_a_key_among_the_subprotocols_goes_to_nobody_but_the_provider_that_it_was_brought_for(
    calling, other, headers, protocols, to
):
    proxy = routed(calling, other, RouteRule("r", None, (Aim(to),)))
    await calling.call(proxy, b"", *headers, target=b"/v1/realtime?model=m", method=b"GET")

    (received,) = {"up": calling.upstream, "other": other}[to].received
    assert [value for name, value in received.head.headers if name.lower() == PROTOCOL.lower()] == protocols


async def test_further_tries_go_round_until_one_answers(calling, other):
    calling.upstream.plan(steps.answer(BUSY), steps.answer(BUSY), steps.answer(OK))
    other.plan(steps.answer(BUSY))
    proxy = routed(calling, other, both(retries=Retries(times=4, backoff=0.001)))
    caller = await calling.call(proxy, BODY, OURS, JSON)

    assert caller.status == 200
    (record,) = calling.records()
    assert [one.status for one in record.closing.attempts][-1] == 200
    assert len(record.closing.attempts) == len(calling.upstream.received) + len(other.received) <= 6


async def test_a_caller_that_leaves_during_a_pause_ends_the_call(calling, other):
    calling.upstream.plan(steps.answer(BUSY))
    rule = RouteRule("r", None, (Aim("up"),), retries=Retries(times=5, backoff=60.0, longest=60.0))
    proxy = routed(calling, other, rule)
    task = asyncio.create_task(calling.call(proxy, BODY, OURS, JSON))
    await asyncio.to_thread(calling.upstream.wait_for, 1)
    async with asyncio.timeout(60):
        while calling.upstreams.breakers.ill == {}:  # noqa: ASYNC110 - the answer has come when this is known
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (record,) = calling.records()
    assert (record.closing.ending, len(record.closing.attempts)) == ("client_gone", 1)


# What is held for a try at another upstream


def test_a_limit_of_output_that_the_next_upstream_passes_over_does_not_bound_what_it_may_cost():
    """OpenAI keeps to `max_completion_tokens`; of others nobody knows that, and the model's own limit is not known here."""
    made = house(budget(limit=10**12))
    price = Override("any", {"input": NANO, "output": 2 * NANO}, model="m*")
    made.bounding.take(PriceBook.packaged().with_overrides([price]))
    openai = replace(OWN, name="openai")
    asking = made.asking(upstream=openai, max_tokens=None, max_completion_tokens=100)

    async def held() -> list[int]:
        holding = await made.holdings.admit(asking)
        await made.holdings.cover(holding, openai, "m", sent=True)
        assert holding.this_try == (cost(asking),)
        with pytest.raises(BudgetExceeded, match="longest answer is not known"):
            await made.holdings.cover(holding, replace(openai, name="another"), "m", sent=True)
        await made.holdings.cover(holding, openai, "m", sent=True)
        return holding.amounts

    assert asyncio.run(held()) == [3 * cost(asking)]


@pytest.mark.parametrize(
    ("model", "why"), [("m", "would be exceeded"), ("unpriced", "no known price")], ids=["no room", "no price"]
)
def test_a_try_that_is_refused_leaves_what_is_held_as_it_was(model, why):
    """The answer that is there passes then, and is paid for as before."""
    made = house(budget("key:ci", limit=10**6), budget("project:search", limit=1_000))
    asking = made.asking()

    async def held() -> list[tuple[object, ...]]:
        holding = await made.holdings.admit(asking)
        seen = []
        for _ in range(2):
            known = holding.requested, holding.bound, holding.metered, holding.enough_for(100)
            seen.append((known, holding.this_try, holding.earlier, list(holding.amounts), made.ledger.held([holding.name])))
            with pytest.raises(BudgetExceeded, match=why):
                await made.holdings.cover(holding, DEAR, model, sent=True)
        await made.holdings.cover(holding, OWN, "m", sent=True)
        assert holding.amounts == [2 * cost(asking)] * 2
        return seen

    first, again = asyncio.run(held())
    assert first == again


TRY = st.tuples(st.sampled_from([OWN, DEAR]), st.sampled_from(["m", "m", "unpriced"]))


@settings(max_examples=100, deadline=None)
@given(st.lists(TRY, max_size=8), st.integers(300, 12_000))
def test_whatever_tries_are_refused_a_strict_budget_holds_what_those_that_are_made_may_cost_and_no_more(tries, limit):
    made = house(budget(limit=limit))
    asking = made.asking()
    costs = {OWN.name: cost(asking), DEAR.name: cost(asking, rate=10)}

    async def held() -> None:
        holding = await made.holdings.admit(asking)
        owed = costs[OWN.name]
        for upstream, model in tries:
            fits = model == "m" and owed + costs[upstream.name] <= limit
            with nullcontext() if fits else pytest.raises(BudgetExceeded):
                await made.holdings.cover(holding, upstream, model, sent=True)
            owed += costs[upstream.name] if fits else 0
            assert made.ledger.held([holding.name]) == {holding.name: (owed,)}
            assert holding.amounts == [owed]

    if costs[OWN.name] <= limit:
        asyncio.run(held())


def test_a_try_is_held_by_the_name_that_its_upstream_knows():
    made = house(budget(limit=100_000))
    asking = replace(made.asking(), sent_as="m-other")

    async def held() -> tuple[list[int], tuple[int, ...], list[int]]:
        holding = await made.holdings.admit(asking)
        first = list(holding.amounts)
        await made.holdings.cover(holding, DEAR, "m", sent=True, path=b"/v1/chat/completions")
        return first, holding.this_try, holding.amounts

    first, this_try, amounts = asyncio.run(held())
    assert first == [cost(asking)]
    assert this_try == (cost(asking, rate=10),)
    assert amounts == [cost(asking) + cost(asking, rate=10)]


def test_a_budget_of_a_model_counts_the_model_that_was_asked_for():
    made = house(budget("model:m", limit=100_000))

    async def applied() -> list[str]:
        holding = await made.holdings.admit(replace(made.asking(), sent_as="m-eu"))
        return [one.budget.name for one in holding.applied]

    assert asyncio.run(applied()) == ["model:m"]


def test_a_model_is_priced_by_the_name_that_is_sent():
    made = house(budget(limit=100_000))
    with pytest.raises(BudgetExceeded, match="no known price"):
        asyncio.run(made.holdings.admit(replace(made.asking(), sent_as="unpriced")))


# New settings


async def test_routes_come_and_go_with_the_settings(tmp_path):
    """Also the parts that only routes need: prices for `cheapest`, and copies."""
    without = Settings(storage=StorageSettings(data=tmp_path))
    denying = without.model_copy(update={"routes": (RouteSettings(deny="Not here."),)})
    copying = without.model_copy(
        update={"routes": (RouteSettings(**{"try": ["sim"], "strategy": "cheapest", "mirror": {"to": "sim/chat"}}),)}
    )
    parts = Parts(without, asyncio.get_running_loop(), 0)
    body = b'{"model":"echo","messages":[{"role":"user","content":"Hello"}]}'
    statuses = []
    for given_now in (without, denying, copying, without):
        parts.reload(lambda given_now=given_now: given_now)
        caller = FakeCaller(b"POST", b"/sim/v1/chat/completions", [JSON], body)
        async with asyncio.timeout(60):
            await parts.proxy.answer(caller)
        statuses.append(caller.status)
    await parts.close()

    assert statuses == [200, 403, 200, 200]
    assert parts.quotes is not None
    assert parts.proxy.mirroring is None

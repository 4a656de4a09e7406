"""A provider keeps its own bill, and what we recorded, summed up and held is put beside it: to the last token and the last pico-USD."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from tests.harness.billing import BillingProvider, Fault, Order, order_of
from tests.harness.gate import ROOT, Gate, run_gate
from tests.harness.records import Records
from tests.harness.wire import until
from tests.storage.conftest import _postgres_database, postgres_server
from tests.storage.ledger.conftest import RedisServer
from tests.whole.conftest import UP
from tests.whole.test_kill import children, kill
from tests.wire.settings import KEYS, MANAGED, upstream_table

log = logging.getLogger(__name__)
pytestmark = pytest.mark.slow
CALLS = int(os.environ.get("FAREGATE_BILL_CALLS", "2000"))
CALLERS = 16
PATIENCE = float(os.environ.get("FAREGATE_BILL_PATIENCE", "300"))
UNAVAILABLE = 503
CREDENTIALS = tuple("sk-" + f"bill-{number}" for number in (1, 2))
PATIENT = "[record]\nbarrier_ms = 5000\n"  # a call without a record is not what is looked for here


def tables(provider: BillingProvider) -> str:
    """Return the upstreams, all at one provider, with two credentials each."""
    return (
        upstream_table("openai", provider.port, keys=CREDENTIALS)
        + upstream_table("anthropic", provider.port, path="", dialect="anthropic", keys=CREDENTIALS)
        + upstream_table("gemini", provider.port, path="", dialect="gemini", keys=CREDENTIALS)
    )


@pytest.fixture
def provider() -> Iterator[BillingProvider]:
    billing = BillingProvider()
    yield billing
    billing.close()


@dataclass
class Seen:
    """What the callers saw: the status of each order's answer, 0 where there was none, and the texts of refusals."""

    statuses: dict[int, int] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)


def call_all(gates: Sequence[Gate], orders: Sequence[Order], *, callers: int = CALLERS, seen: Seen | None = None) -> Seen:
    """Place every order once, so many at a time, at each gate in turn."""
    seen = Seen() if seen is None else seen

    async def place_all() -> None:
        waiting = iter(orders)

        async def caller() -> None:
            for order in waiting:
                await place(gates[order.number % len(gates)].port, order, seen)

        await asyncio.gather(*(caller() for _ in range(callers)))

    asyncio.run(place_all())
    return seen


async def place(port: int, order: Order, seen: Seen) -> None:
    """Place one order; the caller of one that is to be left goes after the last word."""
    seen.statuses[order.number] = 0
    body = order.body()
    head = (
        f"POST {order.target()} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {MANAGED}\r\nx-faregate-session: {order.name}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    # Its supervisor listens also while a gate is on its way back.
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + body)
        first = await reader.readuntil(b"\r\n\r\n")
        seen.statuses[order.number] = int(first.split(b" ", 2)[1])
        rest = b""
        while piece := await reader.read(1 << 16):
            rest += piece
            if order.fault == "left" and rest.count(b"data: {") >= _events_before_leaving(order):
                break
        if seen.statuses[order.number] >= 400:
            _note_code(rest, seen)
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        writer.transport.abort()


def _events_before_leaving(order: Order) -> int:
    return len(order.words) + {"messages": 2, "responses": 1}.get(order.kind, 0)


def _note_code(body: bytes, seen: Seen) -> None:
    found = body[body.find(b"{") : body.rfind(b"}") + 1]
    try:
        error = json.loads(found)["error"]
    except (ValueError, KeyError, TypeError):
        return
    seen.codes[str(error.get("code") or error.get("type"))] += 1


def recorded(gate: Gate, count: int) -> list[dict[str, Any]]:
    """Return all recorded calls, as soon as there are so many."""
    with Records(gate) as records:

        def there() -> bool:
            answer = records._client.get("/api/v1/usage", params={"last": "1d"})
            return answer.status_code == 200 and answer.json()["totals"]["calls"] >= count

        until(there, f"fewer than {count} calls are recorded: {gate.said()[-2000:]}", 600)
        return list(records.all())


def pico(usd: str | None) -> int | None:
    """Return an amount of the API in pico-USD."""
    if usd is None:
        return None
    scaled = Decimal(usd).scaleb(12)
    assert scaled == int(scaled), usd
    return int(scaled)


def as_told(order: Order) -> dict[str, int]:
    """Return the tokens of an order as our API shows them."""
    counts = order.counts
    shown = {"input_tokens": order.prompt, "output_tokens": counts.get("out", 0), "cache_read_tokens": counts.get("read", 0)}
    return shown | {"cache_write_tokens": counts.get("write", 0) + counts.get("hour", 0), "reasoning_tokens": order.reasoning}


def differences(order: Order, record: dict[str, Any]) -> list[str]:
    """Return in what a record differs from what the provider told and charged, one for each thing."""
    usage, found = record["usage"] or {}, []
    if order.kind == "speech":
        told: dict[str, int] = {}
    else:
        told = as_told(order)
    found += [f"{name}: {usage.get(name)}, not {count}" for name, count in told.items() if (usage.get(name) or 0) != count]
    if pico(record["cost_usd"]) != order.pico:
        found.append(f"cost: {record['cost_usd']}, not {order.pico} pico-USD")
    if record["cost_status"] != "exact":
        found.append(f"cost is {record['cost_status']}")
    return [f"{order}: {what}" for what in found]


def check(orders: Sequence[Order], records: Sequence[dict[str, Any]], provider: BillingProvider) -> Counter[str]:
    """Hold records against the bill; return how many of which kind there were."""
    by_session = {record["labels"]["session"]: record for record in records}
    kinds: Counter[str] = Counter()
    wrong: list[str] = []
    for order in orders:
        record = by_session.get(order.name)
        charged = provider.bill.charges[order.number]
        assert charged <= 1, order
        if record is None:
            kinds["without a record, charged" if charged else "without a record"] += 1
            continue
        if record["cost_status"] == "unknown":
            assert record["cost_usd"] is None, record
        if not charged:
            kinds["not charged"] += 1
            allowed = {"none", "unknown"} if record["outcome"] == "interrupted" else {"none"}
            if record["cost_usd"] is not None or record["cost_status"] not in allowed:
                wrong.append(f"{order} was not charged: {record['cost_usd']} {record['cost_status']}")
        elif not order.told or record["outcome"] in {"interrupted", "cancelled"}:
            kinds["not told"] += 1
            if record["cost_status"] not in {"estimated", "unknown"}:
                wrong.append(f"{order} was not told: {record['cost_status']}, {record['usage']}")
            elif record["cost_status"] == "estimated" and not pico(record["cost_usd"]):
                wrong.append(f"{order} is shown as free")
        else:
            kinds["told"] += 1
            wrong += differences(order, record)
    assert not wrong, "\n".join([f"{len(wrong)} differ", *wrong[:20]])
    return kinds


def sums(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what `/api/v1/usage` must say of these calls."""
    costs = [pico(record["cost_usd"]) for record in records]
    return {
        "calls": len(records),
        "cost": sum(cost or 0 for cost in costs),
        "unknown_cost_calls": sum(record["cost_status"] == "unknown" for record in records),
        "estimated_calls": sum(record["cost_status"] == "estimated" for record in records),
        "estimated_cost": sum(pico(record["cost_usd"]) or 0 for record in records if record["cost_status"] == "estimated"),
        **{name: sum((record["usage"] or {}).get(name) or 0 for record in records) for name in ("input_tokens", "output_tokens")},
    }


def shown(totals: dict[str, Any]) -> dict[str, Any]:
    """Return sums of the API in the form of `sums`."""
    return {
        "calls": totals["calls"],
        "cost": pico(totals["cost_usd"]),
        "unknown_cost_calls": totals["unknown_cost_calls"],
        "estimated_calls": totals["estimated_calls"],
        "estimated_cost": pico(totals["estimated_cost_usd"]),
        **{name: totals["usage"][name] for name in ("input_tokens", "output_tokens")},
    }


def usage_of(gate: Gate, *by: str) -> dict[str, Any]:
    with Records(gate) as records:
        answer = records._client.get("/api/v1/usage", params={"last": "1d", **({"by": ",".join(by)} if by else {})})
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
    return found


def check_sums(gate: Gate, records: Sequence[dict[str, Any]]) -> None:
    """Check that usage, in all, by model and on the command line, is the sum of the calls."""
    assert shown(usage_of(gate)["totals"]) == sums(records)
    by_model = {row["model"]: row for row in usage_of(gate, "model")["rows"]}
    for model in {record["model"] for record in records}:
        assert shown(by_model[model]) == sums([record for record in records if record["model"] == model]), model
    command = [sys.executable, "-m", "gateway", "usage", "--last", "1d", "--json", "--data", str(gate.data)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120)
    assert shown(json.loads(said.stdout)["totals"]) == sums(records)


def started(config: str, folder: Path, port: int | None = None) -> Gate:
    gate = run_gate(config + KEYS, data=folder, command=UP, port=port)
    until((gate.data / "local.json").exists, "the gateway does not say how it is reached")
    return gate


def test_our_spans_agree_with_the_providers_bill(provider: BillingProvider, tmp_path: Path) -> None:
    orders = [order_of(number, seed=1) for number in range(CALLS)]
    provider.take(orders)
    gate = started(PATIENT + tables(provider), tmp_path)
    try:
        seen = call_all([gate], orders)
        records = recorded(gate, CALLS)
        assert Counter(record["labels"]["session"] for record in records) == Counter(order.name for order in orders)
        kinds = check(orders, records, provider)
        check_sums(gate, records)
    finally:
        gate.stop()
    assert provider.unknown == []
    guessed = [order for order in orders if order.billed and not order.told]
    billed = {order.name: order.pico for order in guessed}
    estimated = sum(pico(record["cost_usd"]) or 0 for record in records if record["labels"]["session"] in billed)
    log.info("%d answers told nothing: charged %d pico-USD, estimated %d", len(guessed), sum(billed.values()), estimated)
    log.info("calls %s, statuses %s, bill %d pico-USD", dict(kinds), Counter(seen.statuses.values()), provider.bill.pico)
    assert kinds["told"] > CALLS / 2
    retried = [order for order in orders if len(set(provider.tries[order.number].credentials)) == 2]
    assert retried


def test_the_bill_agrees_through_kills_of_gate_and_office(provider: BillingProvider, tmp_path: Path) -> None:
    """What the provider told and we wrote down is exact; what a killed gate cut off is estimated or unknown, and never nothing."""
    orders = [order_of(number, seed=2) for number in range(min(CALLS, 1_200))]
    provider.take(orders)
    gate = started(PATIENT + tables(provider), tmp_path)
    try:
        seen = call_while_killing(gate, orders, ("gate", "office", "gate", "office", "both"))
        records = agreeing_records(gate, begun(orders, seen))
        assert max(Counter(record["labels"]["session"] for record in records).values()) == 1
        kinds = check(orders, records, provider)
        check_sums(gate, records)
    finally:
        gate.stop()
    log.info("calls %s, outcomes %s", dict(kinds), dict(Counter(record["outcome"] for record in records)))
    assert kinds["told"] > len(orders) / 2
    # A call may have reached the provider and its record not yet the disk: at most those that ran as a gate was killed.
    assert kinds["without a record, charged"] <= 3 * CALLERS


def call_while_killing(gate: Gate, orders: Sequence[Order], kills: Sequence[str], *, callers: int = CALLERS) -> Seen:
    """Place all orders, and kill a process after each further share of them has begun."""
    found: list[Seen] = []
    seen = Seen()
    calling = threading.Thread(target=lambda: found.append(call_all([gate], orders, callers=callers, seen=seen)))
    calling.start()
    for number, kind in enumerate(kills, 1):
        begun = len(orders) * number // (len(kills) + 1)
        until(lambda begun=begun: len(seen.statuses) >= begun, f"no calls are served: {gate.said()[-2000:]}", 300)
        for one in ("gate", "office") if kind == "both" else (kind,):
            kill(gate, one)
    calling.join(600)
    assert found, "some calls never ended"
    return seen


def begun(orders: Sequence[Order], seen: Seen) -> set[str]:
    """Return the sessions whose answers from the provider began: they must be recorded. A refusal of our own that a kill cut off need not."""
    return {order.name for order in orders if seen.statuses[order.number] == 200}


def agreeing_records(gate: Gate, sessions: set[str]) -> list[dict[str, Any]]:
    """Return all recorded calls, as soon as these sessions are among them and their sums are what usage says."""
    found: list[dict[str, Any]] = []

    def agree() -> bool:
        try:
            with Records(gate) as records:
                found[:] = records.all()
            totals = shown(usage_of(gate)["totals"])
        except httpx.HTTPError:
            return False
        return sessions <= {record["labels"]["session"] for record in found} and totals == sums(found)

    slowly_until(agree, f"records or sums are missing: {gate.said()[-2000:]}")
    return found


def slowly_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition`, which is not cheap to ask, holds."""
    pause = threading.Event()
    until(lambda: condition() or pause.wait(0.2), what, PATIENCE)


STRICT = """
[[budgets]]
scope = "all"
limit_usd = "{limit}"
window = "total"
mode = "strict"
when_ledger_is_down = "{away}"
"""
LIMIT = 900_000_000_000  # pico-USD
MANY = 50


def strict(away: str = "closed") -> str:
    return STRICT.format(limit=LIMIT / 10**12, away=away)


def budget_of(gate: Gate) -> dict[str, Any]:
    """Return the budget as the API shows it."""
    with Records(gate) as records:
        answer = records._client.get("/api/v1/budgets")
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()["budgets"][0]
    return found


def settled_budget(gate: Gate, *, calls: int | None = None) -> int:
    """Return what is spent, in pico-USD, as soon as it is the sum of the recorded calls, each rounded up to nano-USD.

    Nothing may be held any more; or, where slices may be, so many calls must be recorded.
    """
    spent: list[int | None] = []

    def is_sum() -> bool:
        try:
            budget = budget_of(gate)
            with Records(gate) as records:
                costs = [pico(record["cost_usd"]) or 0 for record in records.all()]
        except httpx.HTTPError:
            return False
        expected = sum(-(-cost // 1000) * 1000 for cost in costs)
        spent[:] = [pico(budget["spent"]), pico(budget["held"]), expected]
        done = spent[1] == 0 if calls is None else len(costs) >= calls
        return done and spent[0] == expected

    try:
        slowly_until(is_sum, "what is spent is not the sum of the calls")
    except TimeoutError as error:
        raise AssertionError(f"spent, held, sum: {spent}; {gate.said()[-2000:]}") from error
    return spent[0] or 0


ROUND = 100


def call_in_rounds(gates: Sequence[Gate], orders: Sequence[Order], provider: BillingProvider) -> tuple[Seen, int, int]:
    """Place orders, so many at once, wait until all is settled, and go on until most of the budget is spent.

    Return what was seen, how many were placed, and what is spent.
    """
    seen, placed, spent = Seen(), 0, 0
    while placed < len(orders) and provider.bill.pico <= LIMIT * 3 // 4:
        call_all(gates, orders[placed : placed + ROUND], callers=MANY, seen=seen)
        placed += ROUND
        spent = settled_budget(gates[0])
    return seen, placed, spent


def test_a_strict_budget_is_never_passed_at_the_provider(tmp_path: Path) -> None:
    """Two gate processes, and fifty callers."""
    provider = BillingProvider(LIMIT)
    orders = [order_of(number, seed=3, honest=True) for number in range(1_600)]
    provider.take(orders)
    gate = started("[server]\nworkers = 2\n" + PATIENT + strict() + tables(provider), tmp_path)
    try:
        seen, placed, spent = call_in_rounds([gate], orders, provider)
        check(orders[:placed], recorded(gate, placed), provider)
    finally:
        gate.stop()
        provider.close()
    log.info("statuses %s, codes %s, bill %d, spent %d", Counter(seen.statuses.values()), seen.codes, provider.bill.pico, spent)
    assert provider.bill.over == []
    assert provider.bill.pico <= spent <= LIMIT
    assert provider.bill.pico > LIMIT * 3 // 4
    assert seen.codes["insufficient_quota"] or seen.codes["budget_in_flight"]


def test_a_strict_budget_is_never_passed_through_kills(tmp_path: Path) -> None:
    provider = BillingProvider(LIMIT)
    orders = [order_of(number, seed=4, honest=True) for number in range(800)]
    provider.take(orders)
    gate = started(PATIENT + strict() + tables(provider), tmp_path)
    try:
        seen = call_while_killing(gate, orders, ("gate", "office", "both"), callers=MANY)
        records = agreeing_records(gate, begun(orders, seen))
        budget = budget_of(gate)
    finally:
        gate.stop()
        provider.close()
    spent, held = pico(budget["spent"]) or 0, pico(budget["held"]) or 0
    log.info(
        "statuses %s, codes %s, bill %d, spent %d, held %d",
        Counter(seen.statuses.values()),
        seen.codes,
        provider.bill.pico,
        spent,
        held,
    )
    assert provider.bill.over == []
    assert provider.bill.pico <= spent + held <= LIMIT
    check(orders, records, provider)


@dataclass
class Cluster:
    """Two gateways with folders of their own, one PostgreSQL and one Redis."""

    gates: tuple[Gate, Gate]
    redis: RedisServer
    provider: BillingProvider

    def place(self, orders: Sequence[Order], gates: Sequence[Gate] = ()) -> Seen:
        """Place orders at both gates, or at these."""
        return call_all(gates or self.gates, orders, callers=MANY)


@pytest.fixture(scope="module")
def database_server() -> Iterator[str]:
    if url := os.environ.get("FAREGATE_TEST_POSTGRES"):
        yield url
        return
    with postgres_server() as server:
        yield server.get_uri()


@pytest.fixture
def cluster(request: pytest.FixtureRequest, database_server: str, tmp_path: Path) -> Iterator[Cluster]:
    """Start both; the fixture's parameter is what happens while the ledger is away."""
    provider, server = BillingProvider(LIMIT), RedisServer()
    gates: list[Gate] = []
    with _postgres_database(database_server) as (_, url):
        places = f'[storage]\ndatabase_url = "{url}"\nredis_url = "{server.url}"\n'
        try:
            gates += [
                started(places + PATIENT + strict(request.param) + tables(provider), tmp_path / name) for name in ("a", "b")
            ]
            yield Cluster((gates[0], gates[1]), server, provider)
        finally:
            provider.release()
            for gate in gates:
                gate.stop()
            server.close()
            provider.close()


@pytest.mark.parametrize("cluster", ["closed"], indirect=True)
def test_redis_paused_killed_and_emptied_never_lets_a_strict_budget_be_passed(cluster: Cluster) -> None:
    """Slow calls run at the second gateway, and are most of the budget, while Redis goes away and twice forgets them."""
    provider, server = cluster.provider, cluster.redis
    orders = [
        *(order_of(number, seed=5, honest=True) for number in range(50)),
        *(dear_order(number) for number in range(50, 3_000)),
    ]
    slow = [dear_order(number, "slow") for number in range(3_000, 3_300)]
    provider.take(orders + slow)
    placed = place_until_answered(cluster, orders, 0, enough=50)
    settled_budget(cluster.gates[0])
    held_up = Seen()
    waiting = threading.Thread(target=lambda: call_all([cluster.gates[1]], slow, callers=len(slow), seen=held_up))
    waiting.start()
    until(lambda: all_decided(provider, slow, held_up), "slow calls are not decided", PATIENCE)
    assert provider.bill.pico > LIMIT // 2, held_up.codes
    # However many come at once to a gate that is busy with them: its Redis is there.
    assert UNAVAILABLE not in held_up.statuses.values()
    server.pause()
    placed = all_refused(cluster, orders, placed)
    server.resume()
    placed = place_until_answered(cluster, orders, placed, enough=10)
    # So it is the office that does not know of the slow calls which makes the ledger anew.
    for pid in children(cluster.gates[1], "office"):
        os.kill(pid, signal.SIGSTOP)
    server.kill()
    placed = all_refused(cluster, orders, placed)
    server.start()
    slowly_until(redis_is_made_anew(server), "no office made the ledger anew")
    server.empty()
    placed = place_until_answered(cluster, orders, placed, enough=150)
    for pid in children(cluster.gates[1], "office"):
        os.kill(pid, signal.SIGCONT)
    assert provider.bill.over == []
    provider.release()
    waiting.join(PATIENCE)
    place_until_answered(cluster, orders, placed, enough=20)
    spent = settled_budget(cluster.gates[0])
    running = sum(provider.bill.charges[order.number] for order in slow)
    log.info("%d slow, bill %d, spent %d", running, provider.bill.pico, spent)
    assert provider.bill.over == []
    assert provider.bill.pico <= spent <= LIMIT


def all_refused(cluster: Cluster, orders: Sequence[Order], placed: int) -> int:
    """Place 20 orders at both gateways, none of which may come to the provider; return how many were placed."""
    before = cluster.provider.bill.pico
    away = cluster.place(orders[placed : placed + 20])
    assert set(away.statuses.values()) == {UNAVAILABLE}
    assert set(away.codes) <= {"budget_unavailable", "api_error", "503"}, away.codes
    assert cluster.provider.bill.pico == before
    return placed + 20


def redis_is_made_anew(server: RedisServer) -> Callable[[], bool]:
    def made() -> bool:
        with redis.Redis.from_url(server.url) as client:
            return bool(client.exists("{faregate}:epoch"))

    return made


def all_decided(provider: BillingProvider, orders: Sequence[Order], seen: Seen) -> bool:
    """Tell whether each order is at the provider or was refused."""
    return all(provider.bill.charges[order.number] or seen.statuses.get(order.number) for order in orders)


def dear_order(number: int, fault: Fault = "") -> Order:
    """Return an order that comes to nearly as much as is held for it."""
    return Order(number, "chat", "gpt-4o", stream=False, fault=fault, counts={"in": 200, "out": 300})


def place_until_answered(cluster: Cluster, orders: Sequence[Order], placed: int, *, enough: int) -> int:
    """Place orders at the first gateway, until the ledger has answered for `enough` of them; return how many were placed."""
    answered = 0
    pause = threading.Event()
    while answered < enough and placed < len(orders):
        some = orders[placed : placed + 5]
        seen = cluster.place(some, cluster.gates[:1])
        placed += len(some)
        good = sum(status != UNAVAILABLE for status in seen.statuses.values())
        answered += good
        if not good:
            pause.wait(0.2)
    return placed


@pytest.mark.parametrize("cluster", ["open"], indirect=True)
def test_an_open_budget_lets_calls_pass_while_redis_is_paused_and_counts_them_after(cluster: Cluster) -> None:
    provider = cluster.provider
    orders = [order_of(number, seed=6, honest=True) for number in range(300)]
    provider.take(orders)
    placed = place_until_answered(cluster, orders, 0, enough=20)
    settled_budget(cluster.gates[0])
    cluster.redis.pause()
    away = cluster.place(orders[placed : placed + 60])
    cluster.redis.resume()
    ours = {order.number: away.statuses[order.number] for order in orders[placed : placed + 60]}
    assert set(ours.values()) <= {200, 400, 500}
    assert all(provider.bill.charges[order.number] == order.billed for order in orders[placed : placed + 60])
    assert provider.bill.pico <= settled_budget(cluster.gates[0], calls=placed + 60)


@pytest.mark.parametrize("cluster", ["slice"], indirect=True)
def test_while_redis_is_paused_no_more_is_spent_than_was_leased_for_that(cluster: Cluster) -> None:
    provider = cluster.provider
    orders = [dear_order(number) for number in range(600)]
    provider.take(orders)
    placed = place_until_answered(cluster, orders, 0, enough=20)
    spent = settled_budget(cluster.gates[0], calls=placed)
    until_leased(cluster)
    leased = pico(budget_of(cluster.gates[0])["held"]) or 0
    before = provider.bill.pico
    cluster.redis.pause()
    away = cluster.place(orders[placed : placed + 100])
    cluster.redis.resume()
    charged = provider.bill.pico - before
    log.info("leased %d, charged meanwhile %d, %s, %s", leased, charged, Counter(away.statuses.values()), away.codes)
    assert 0 < charged <= leased
    assert set(away.statuses.values()) == {200, UNAVAILABLE}
    assert set(away.codes) == {"budget_unavailable"}
    assert settled_budget(cluster.gates[0], calls=placed + 100) >= spent + charged
    assert provider.bill.over == []


def until_leased(cluster: Cluster) -> None:
    """Wait until a gate has leased a slice for bad times: it does so as it renews what it holds."""
    slowly_until(lambda: (pico(budget_of(cluster.gates[0])["held"]) or 0) > 0, "no slice is leased")

"""A provider keeps its own bill, and what we recorded, summed up and held is put beside it: to the last token and the last pico-USD."""

import asyncio
import json
import logging
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from storage.folder import DataFolder
from tests.harness.billing import BillingProvider, Order, order_of
from tests.harness.gate import ROOT, Gate, run_gate
from tests.harness.records import Records
from tests.harness.wire import until
from tests.whole.conftest import UP
from tests.whole.test_kill import kill
from tests.wire.settings import KEYS, MANAGED, upstream_table

log = logging.getLogger(__name__)
pytestmark = pytest.mark.slow
CALLS = int(os.environ.get("FAREGATE_BILL_CALLS", "600"))
CALLERS = 16
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


def call_all(gates: Sequence[Gate], orders: Sequence[Order], *, callers: int = CALLERS) -> Seen:
    """Place every order once, so many at a time, at each gate in turn."""
    seen = Seen()

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
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return
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
            if record["cost_usd"] is not None or record["cost_status"] not in {"none", "unknown"}:
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
    log.info("calls %s, statuses %s, bill %d pico-USD", dict(kinds), Counter(seen.statuses.values()), provider.bill.pico)
    assert kinds["told"] > CALLS / 2
    retried = [order for order in orders if len(set(provider.tries[order.number].credentials)) == 2]
    assert retried

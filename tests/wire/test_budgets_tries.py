"""Each try of a call under a budget is held before it is sent, through real sockets."""

import json

import pytest

from tests.harness.gate import Gate
from tests.harness.steps import Script, answer
from tests.harness.upstream import OK, ScriptedUpstream
from tests.wire.budgets import call

FAILED = {"401": 401, "429": 429, "500": 500}


@pytest.fixture
def gate(running_budgets: Gate) -> Gate:
    assert running_budgets.alive, running_budgets.said()[-2000:]
    return running_budgets


def fails(status: int) -> Script:
    return answer(b"HTTP/1.1 %d Oh\r\nContent-Length: 2\r\n\r\n{}" % status)


@pytest.mark.parametrize("status", FAILED)
def test_a_further_try_is_held_too(status: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(FAILED[status]), answer(OK))
    got = call(gate, f"tried-{status}", target=f"/tries-{status}/v1/chat/completions".encode())
    assert (got.status, got.header("x-faregate-attempts")) == (200, "2")
    assert len({one.head.value(b"authorization") for one in upstream.received}) == 2
    assert got.header("x-faregate-budget-remaining-usd") == "0.000098"


@pytest.mark.parametrize("status", FAILED)
def test_a_further_try_that_is_not_paid_for_is_not_made(status: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(fails(FAILED[status]), answer(OK))
    got = call(gate, f"once-{status}", target=f"/once-{status}/v1/chat/completions".encode())
    assert (got.status, json.loads(got.body.data)["error"]["code"]) == (429, "insufficient_quota")
    assert (got.header("x-should-retry"), got.header("x-faregate-attempts")) == ("false", "1")
    assert got.header("x-faregate-budget") == f"key:once-{status};limit=0.0000015;spent=0.00;held=0.000001;resets=never"
    assert len(upstream.received) == 1

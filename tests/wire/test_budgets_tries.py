"""Each try of a call under a budget is held before it is sent, through real sockets."""

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
def test_a_further_try_that_is_not_paid_for_is_not_made_and_the_answer_that_is_there_passes(
    status: str, gate: Gate, upstream: ScriptedUpstream
) -> None:
    """What the upstream says is worth more to an app than that a second try had no room: above all whether, and when, to try again."""
    failure = b'HTTP/1.1 %b Oh\r\nContent-Length: 8\r\nRetry-After: 7\r\nX-Odd: kept\r\n\r\n{"no":1}' % status.encode()
    upstream.plan(answer(failure), answer(OK))
    got = call(gate, f"once-{status}", target=f"/once-{status}/v1/chat/completions".encode())
    assert (got.status, got.body.data, got.body.ending) == (FAILED[status], b'{"no":1}', "complete")
    assert (got.header("retry-after"), got.header("x-odd")) == ("7", "kept")
    assert (got.header("x-faregate-error-origin"), got.header("x-faregate-attempts")) == ("upstream", "1")
    assert got.header("x-faregate-budget-remaining-usd") == "0.0000005"
    assert len(upstream.received) == 1

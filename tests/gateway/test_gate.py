"""The gate around its calls: it counts them, outlives what nobody foresaw, and drains."""

import asyncio
import json

import pytest

from domain.errors import InvalidRequest
from gateway.gate import Gate
from gateway.metrics import SharedCounters, samples
from gateway.office_door import OfficeDoor
from gateway.wire.deadlines import Deadlines
from gateway.wire.limits import Limits
from tests.gateway.calling import JSON, OURS, Calling, FakeCaller
from tests.harness import steps
from tests.harness.upstream import OK


class Failing(FakeCaller):
    """Cannot begin its first answer, for a reason that nobody foresaw."""

    failed = False

    def start(self, *args) -> None:
        if not self.failed:
            self.failed = True
            raise LookupError("a bug")
        super().start(*args)


class FailingLate(FakeCaller):
    """Fails in the middle of its answer."""

    def data(self, piece: bytes) -> None:
        del piece
        raise LookupError("a bug")


@pytest.fixture
async def gate(calling, tmp_path) -> Gate:
    deadlines = Deadlines(asyncio.get_running_loop())
    door = OfficeDoor(str(tmp_path / "office.sock"), asyncio.get_running_loop(), deadlines)
    return Gate(calling.proxy(), door, Limits(connections=2), deadlines, asyncio.get_running_loop())


def a_caller(kind=FakeCaller, *, target: bytes = b"/v1/chat/completions") -> FakeCaller:
    return kind(b"POST", target, [OURS, JSON], b"{}")


def metrics(gate: Gate, calling: Calling) -> set[str]:
    """Return the samples that the metrics page shows."""
    text = SharedCounters(calling.root.parent, 0, lambda: samples(gate, calling.writer)).text()
    return {line for line in text.splitlines() if not line.startswith("#")}


async def test_calls_are_counted_by_how_they_ended_and_the_answers_class(gate, calling):
    calling.upstream.plan(steps.answer(OK), steps.answer(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"), steps.answer(OK))
    for target in (b"/v1/a", b"/v1/b", b"/v1/c", b"/v1/d"):
        await gate.answer(a_caller(target=target))
    gate.count_refused(InvalidRequest("why"))

    assert {
        'faregate_calls_total{ending="complete",status="2xx"} 3',
        'faregate_calls_total{ending="complete",status="4xx"} 1',
        'faregate_refused_requests_total{code="invalid_request"} 1',
        "faregate_calls_running 0",
    } <= metrics(gate, calling)


async def test_a_call_whose_caller_leaves_is_counted_and_lets_the_upstream_go(gate, calling):
    calling.upstream.plan((steps.ReadBody(), steps.Signal("reached"), steps.AwaitClosed()))
    call = asyncio.create_task(gate.answer(a_caller()))
    await asyncio.to_thread(calling.upstream.wait, "reached")
    assert gate.running == 1
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert {'faregate_calls_total{ending="client_gone",status="none"} 1', "faregate_calls_running 0"} <= metrics(gate, calling)
    (record,) = calling.records()
    assert record.closing.ending == "client_gone"


async def test_what_nobody_foresaw_is_a_500_without_detail_and_logged(gate, caplog):
    caller = a_caller(Failing)

    await gate.answer(caller)

    assert caller.status == 500
    error = json.loads(caller.answer)["error"]
    assert (error["type"], error["code"]) == ("gateway_error", "internal_error")
    assert "a bug" not in caller.answer.decode()
    assert any(record.exc_info and record.exc_info[0] is LookupError for record in caplog.records)


async def test_what_nobody_foresaw_in_the_middle_of_an_answer_breaks_it_off(gate, calling, caplog):
    caller = a_caller(FailingLate)
    async with asyncio.timeout(30):
        await gate.answer(caller)

    assert caller.ending == "reset"
    assert any(record.exc_info for record in caplog.records)


async def test_a_draining_gate_refuses_new_calls_and_lets_the_running_ones_finish(gate, calling):
    calling.upstream.plan((steps.ReadBody(), steps.Signal("reached"), steps.Await("go on"), steps.Send(OK)))
    running = a_caller()
    call = asyncio.create_task(gate.answer(running))
    await asyncio.to_thread(calling.upstream.wait, "reached")
    draining = asyncio.create_task(gate.drain(30))
    await asyncio.sleep(0)

    late = a_caller()
    await gate.answer(late)
    assert gate.draining
    assert not draining.done()
    calling.upstream.signal("go on")
    await call
    await draining

    assert (running.status, running.answer) == (200, b"{}")
    assert (late.status, dict(late.headers)[b"x-should-retry"]) == (503, b"true")


async def test_draining_ends_when_its_time_is_over(gate, calling, caplog):
    calling.upstream.plan((steps.ReadBody(), steps.Signal("reached"), steps.AwaitClosed()))
    call = asyncio.create_task(gate.answer(a_caller()))
    await asyncio.to_thread(calling.upstream.wait, "reached")

    await gate.drain(0.05)

    assert not call.done()
    assert "1 calls were still running" in caplog.text
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def test_an_idle_gate_drains_at_once(gate):
    async with asyncio.timeout(30):
        await gate.drain(60)


@pytest.mark.parametrize(("connections", "over"), [(1, False), (2, False), (3, True)])
async def test_connections_are_bounded(gate, connections, over):
    assert gate.connections_over(connections) is over


async def test_while_the_office_is_away_its_pages_say_so(gate):
    caller = FakeCaller(b"GET", b"/api/v1/calls", [], b"")

    await gate.pass_to_office(caller)

    assert caller.status == 503
    assert json.loads(caller.answer)["title"] == "The office is away"
    assert dict(caller.headers)[b"retry-after"] == b"2"

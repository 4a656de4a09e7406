"""Copies of calls: what is copied, what it may cost, how many at once, and that a gate stops without waiting for them."""

import asyncio
import json
import subprocess
import sys
from functools import partial
from random import Random

import pytest

from domain.routes import Aim, Mirror, RouteRule
from gateway.proxy import Proxy
from gateway.sending.choosing import Choosing
from gateway.sending.mirroring import MOST_AT_ONCE, Mirroring, Nobody
from gateway.sending.routes import Routes
from routing.routes import RouteRules
from tests.gateway.calling import JSON, OURS, THEIRS, Calling
from tests.harness import steps
from tests.harness.upstream import OK, ScriptedUpstream

BODY = b'{"model":"m","messages":[]}'
EVAL = RouteRule("eval", None, mirror=Mirror(Aim("other", "n"), 1.0, "mirror:eval"))


def others() -> set[asyncio.Task]:
    """Return every task but this one: those of the copies."""
    return asyncio.all_tasks() - {asyncio.current_task()}


def _choosing(rule, routes, upstreams, why_no_copy) -> Choosing:
    clock = asyncio.get_running_loop().time
    return Choosing(RouteRules([rule]), routes, upstreams, random=Random(1), clock=clock, why_no_copy=why_no_copy)


class Running:
    """A proxy with routes, and the copies that it makes."""

    def __init__(self, calling: Calling, other: ScriptedUpstream, rule: RouteRule = EVAL) -> None:
        loop = asyncio.get_running_loop()
        self.proxy: Proxy = calling.proxy()
        there = calling.target(name="other", port=other.port, credentials=("sk-" + "other",))
        routes = Routes({"up": calling.target(), "other": there}, "up")
        self.proxy.take(keys=self.proxy.keys, routes=routes, capture="full")
        self.copies = Mirroring(self.proxy.answer, loop, 1_000)
        self.choosing = partial(_choosing, rule, routes, calling.upstreams)
        self.proxy.choose_by(self.choosing(self.copies.why_not), self.copies)

    async def over(self) -> None:
        """Wait until every copy has ended."""
        async with asyncio.timeout(60):
            await asyncio.gather(*others(), return_exceptions=True)
        await asyncio.sleep(0)  # those that are over already are told of in this turn
        assert self.copies.running == 0


async def test_a_copy_is_a_call_of_its_own(calling, other):
    running = Running(calling, other)
    caller = await calling.call(running.proxy, BODY, OURS, JSON, (b"Cookie", b"c=1"), (b"X-Faregate-Customer", b"acme"))
    await running.over()

    assert (caller.status, caller.answer, caller.ending) == (200, b"{}", "ended")
    (sent,) = other.received
    assert sent.body.data == BODY.replace(b'"m"', b'"n"')
    assert sent.head.value(b"authorization") == b"Bearer sk-other"
    assert sent.head.value(b"cookie") is None
    assert calling.upstream.received[0].head.value(b"cookie") == b"c=1"
    records = {record.opening.mirror_of: record for record in calling.records()}
    call, copy = records.pop(None), records.popitem()[1]
    assert copy.opening.mirror_of == call.opening.id != copy.opening.id
    assert (copy.opening.key_name, copy.opening.project, copy.opening.upstream) == ("mirror:eval", "search", "other")
    assert (copy.opening.labels.customer, call.opening.labels.customer) == (None, "acme")
    assert [one.why for one in copy.opening.decisions] == [f"a copy of call {call.opening.id}"]
    assert (copy.closing.ending, copy.closing.status, copy.response) == ("complete", 200, b"{}")
    assert THEIRS not in str(other.received[0].head)


async def test_the_answer_is_there_before_the_copy_is_answered(calling, other):
    other.plan((steps.ReadBody(), steps.Await("go on"), steps.Send(OK)))
    running = Running(calling, other)

    caller = await calling.call(running.proxy, BODY, OURS, JSON)

    assert (caller.ending, running.copies.running) == ("ended", 1)
    other.signal("go on")
    await running.over()


async def test_a_stream_is_copied_with_its_usage_asked_for_and_nothing_withheld_from_nobody(calling, other):
    running = Running(calling, other)
    await calling.call(running.proxy, b'{"model":"m","stream":true}', OURS, JSON)
    await running.over()

    assert json.loads(other.received[0].body.data) == {"model": "n", "stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    "script", [(steps.ReadBody(), steps.Reset()), steps.answer(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")]
)
async def test_a_copy_that_fails_is_written_down_and_nobody_else_hears_of_it(calling, other, script):
    other.plan(script)
    running = Running(calling, other)
    caller = await calling.call(running.proxy, BODY, OURS, JSON)
    await running.over()

    assert caller.status == 200
    copy = next(record for record in calling.records() if record.opening.mirror_of)
    assert copy.closing.status in {500, 502}


async def test_a_gate_that_stops_cuts_copies_off_and_still_writes_them_down(calling, other):
    other.plan((steps.ReadBody(), steps.AwaitClosed()))
    running = Running(calling, other)
    await calling.call(running.proxy, BODY, OURS, JSON)
    await asyncio.to_thread(other.wait_for, 1)
    for task in others():
        task.cancel()
    await running.over()

    copy = next(record for record in calling.records() if record.opening.mirror_of)
    assert copy.closing.ending == "client_gone"


# Bounds


def looked_at(method=b"POST", path=b"/v1/chat/completions", body=BODY, *, whole=True, copies=None):
    found = copies or Mirroring(None, None, 1_000)
    return found.why_not(method, path, body, whole=whole)


def test_only_calls_of_models_are_copied_and_only_whole():
    assert looked_at() is None
    assert looked_at(method=b"GET") == looked_at(body=b"") == looked_at(path=b"/v1/files") == "it is no call of a model"
    assert looked_at(whole=False) == looked_at(body=b"x" * 1_001) == "its body is too long to keep"


@pytest.mark.parametrize("late", [False, True], ids=["no room", "others took the room while the call was held"])
async def test_copies_are_bounded_in_number_and_in_bytes(calling, other, late):
    other.plan((steps.ReadBody(), steps.AwaitClosed()))
    running = Running(calling, other)
    if late:
        running.proxy.choose_by(running.choosing(lambda *_, **__: None), running.copies)
    for _ in range(MOST_AT_ONCE):
        await calling.call(running.proxy, BODY, OURS, JSON)
    assert running.copies.running == MOST_AT_ONCE
    await calling.call(running.proxy, BODY, OURS, JSON)
    assert running.copies.running == MOST_AT_ONCE
    for task in others():
        task.cancel()
    await running.over()
    last = [record for record in calling.records() if not record.opening.mirror_of][-1]
    assert last.opening.decisions[-1].why.endswith("no copy to other/n: too many copies are on their way")
    assert running.copies.why_not(b"POST", b"/v1/x", BODY, whole=True) is None


async def test_nobody_takes_whatever_comes():
    head = None
    nobody = Nobody(b"POST", head, b"2", b"{}", asyncio.get_running_loop())
    nobody.inform(100, b"", [])
    nobody.proceed()
    nobody.start(200, b"", [], "length")
    nobody.data(b"x")
    nobody.flush()
    nobody.end([])
    nobody.cut(reset=True)
    assert (nobody.ready, nobody.gone, nobody.body.complete, nobody.body.held()) == (True, False, True, b"{}")


# What a gate without routes pays

LOADED = """
import asyncio, sys
from config.settings import Settings, StorageSettings
from gateway.app import Parts
async def main():
    parts = Parts(Settings(storage=StorageSettings(data=sys.argv[1])), asyncio.get_running_loop(), 0)
    await parts.close()
asyncio.run(main())
print([name for name in ("cel", "gateway.sending.aims", "gateway.sending.choosing", "gateway.sending.mirroring", "gateway.sending.quoting") if name in sys.modules])
"""


def test_a_gate_without_routes_loads_nothing_for_them(tmp_path):
    done = subprocess.run([sys.executable, "-c", LOADED, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

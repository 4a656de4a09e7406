"""Several gate processes on one port: each serves, each records, and one that dies is missed by nobody for long."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate, run_gate
from tests.harness.messages import Ended
from tests.harness.records import Records
from tests.harness.steps import answer
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.whole.conftest import UP
from tests.whole.test_kill import children
from tests.wire.settings import KEYS, upstream_table


@pytest.fixture
def two(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Gate]:
    tables = "[server]\nworkers = 2\n" + upstream_table("openai", upstream.port)
    gate = run_gate(tables + KEYS, data=tmp_path, command=UP)
    until((gate.data / "local.json").exists, "the gateway does not say how it is reached")
    yield gate
    gate.stop()


def call(gate: Gate) -> str | None:
    """Make one call on a connection of its own; None where it was refused or cut."""
    try:
        with RawClient(gate.address) as client:
            client.send(request(body=b'{"model":"gpt-4o","messages":[]}'))
            got = client.answer()
    except (OSError, Ended):
        return None
    return got.header("x-faregate-call") if got.status == 200 else None


def test_two_workers_serve_and_record(two: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    workers = children(two, "gate")
    assert len(workers) == 2
    calls = [call(two) for _ in range(60)]
    assert None not in calls
    with Records(two) as records:
        assert records.missing({each for each in calls if each}) == set()
        os.kill(workers[0], signal.SIGKILL)
        until(
            lambda: len(children(two, "gate")) == 2 and workers[0] not in children(two, "gate"),
            "the worker does not come back",
            30,
        )
        until(lambda: all(call(two) for _ in range(10)), "calls are not served any more", 30)

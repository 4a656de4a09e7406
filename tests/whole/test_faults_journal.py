"""The journal's disk is full, broken or slow: calls go on (or are refused, where that is set), and what was not kept is counted."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.faults import asked, counted, filled, injected, processes, running, small_disk
from tests.harness.gate import Gate
from tests.harness.records import Records
from tests.harness.steps import Script, answer
from tests.harness.traffic import Traffic, call_once, recorded_once, settles
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import PATIENCE
from tests.wire.settings import KEYS, upstream_table

pytestmark = pytest.mark.slow
SIZE = 200_000
BARRIER_MS = 100


def large_answer() -> Script:
    """Return an answer that does not get smaller by being packed."""
    body = b'{"text":"' + os.urandom(SIZE // 2).hex().encode() + b'"}'
    return answer(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


@contextmanager
def on_small_disk(upstream: ScriptedUpstream, folder: Path, megabytes: int, on_full: str) -> Iterator[tuple[Gate, Records]]:
    config = f'[record]\non_full = "{on_full}"\n' + upstream_table("openai", upstream.port) + KEYS
    with small_disk(folder / "data", megabytes), running(config, folder) as gate, Records(gate) as records:
        yield gate, records


def test_a_full_disk_is_said_and_not_said_again_and_again(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.plan(large_answer())
    with on_small_disk(upstream, tmp_path, 12, "shed") as (gate, _):
        lines = gate.said().count("\n")
        with filled(gate.data), Traffic(gate.address) as traffic:
            settles(lambda: counted(gate, "faregate_journal_disk_errors_total") > 0, "the disk does not get full", 30)
            assert "No space left on device" in gate.said()
            traffic.go_on(3)
        assert gate.said().count("\n") - lines < 10, gate.said()[-3000:]


# On the small disk there is no room for a ballast, on the large one there is.
@pytest.mark.parametrize("megabytes", [12, 64])
def test_on_a_full_disk_calls_go_on_and_bodies_are_shed(megabytes: int, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with on_small_disk(upstream, tmp_path, megabytes, "shed") as (gate, records):
        upstream.plan(answer(OK))
        recorded_once(records, {str(call_once(gate.address).header("x-faregate-call"))})
        upstream.plan(large_answer())
        with filled(gate.data), Traffic(gate.address, threads=4) as traffic:
            settles(lambda: counted(gate, "faregate_journal_disk_errors_total") > 0, "the disk does not get full", 30)
            # Where there is no ballast to give up, nothing can be written: this is more than may wait in memory.
            traffic.more(450, 60)
            assert (set(traffic.statuses), traffic.failed) == ({200}, [])
            assert max(traffic.seconds) < PATIENCE / 3
            assert json.loads(asked(gate, "/readyz").body.data)["ready"] is True
        upstream.plan(answer(OK))
        recorded_once(records, traffic.ids())
        assert counted(gate, "faregate_journal_shed_bodies_total") > 0
        settles(
            lambda: records.one(call_once(gate.address).header("x-faregate-call"))["content"] == "full",
            "bodies are not kept again",
        )
        assert counted(gate, "faregate_journal_lost_records_total") == 0


@pytest.mark.parametrize("megabytes", [12, 64])
def test_on_a_full_disk_calls_are_refused_where_that_is_set(megabytes: int, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with on_small_disk(upstream, tmp_path, megabytes, "reject") as (gate, records):
        upstream.plan(large_answer())
        with Traffic(gate.address) as traffic:
            with filled(gate.data):
                settles(lambda: traffic.statuses[503] > 0, "no call is refused", 30)
                refused = _refused(gate)
                assert json.loads(asked(gate, "/readyz").body.data)["ready"] is False
            seen = len(traffic.ids())
            settles(lambda: len(traffic.ids()) > seen, "calls are not served again")
            upstream.plan(answer(OK))
        assert refused.header("x-should-retry") == "true"
        error = json.loads(refused.body.data)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert (error["type"], error["code"]) == ("gateway_error", "journal_full")
        assert (set(traffic.statuses), traffic.failed) == ({200, 503}, [])
        recorded_once(records, traffic.ids(), 20)


def _refused(gate: Gate):
    refused = call_once(gate.address)
    assert refused.status == 503
    return refused


@pytest.fixture
def config(upstream: ScriptedUpstream) -> str:
    upstream.plan(answer(OK))
    return f"[record]\nbarrier_ms = {BARRIER_MS}\n" + upstream_table("openai", upstream.port) + KEYS


def test_a_slow_disk_delays_the_first_byte_by_no_more_than_the_barrier(config: str, tmp_path: Path) -> None:
    with running(config, tmp_path) as gate, Records(gate) as records:
        (pid,) = processes(gate, "gate")
        with Traffic(gate.address, threads=4) as traffic:
            traffic.more(40)
            usual = sorted(traffic.seconds)
            before = counted(gate, "faregate_record_barrier_timeouts_total")
            with injected(pid, "fsync,fdatasync:delay_enter=3000000", tmp_path / "strace.log"):
                begun = len(traffic.seconds)
                traffic.more(60)
                slow = sorted(traffic.seconds[begun:])
                assert counted(gate, "faregate_record_barrier_timeouts_total") > before
            traffic.more(10)
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        # The median shows that calls met the barrier; none waited for the disk itself.
        assert slow[len(slow) // 2] < usual[len(usual) // 2] + BARRIER_MS / 1000 + 1
        assert slow[-1] < 3
        recorded_once(records, traffic.ids())


@pytest.mark.parametrize(
    ("calls", "error"), [("fsync,fdatasync", "EIO"), ("pwritev,pwritev2", "EIO"), ("pwritev,pwritev2", "ENOSPC")]
)
def test_a_disk_that_fails_leaves_nothing_unanswered_and_nothing_unrecorded(
    calls: str, error: str, config: str, tmp_path: Path
) -> None:
    # A barrier so long that whoever is not let go when the disk fails is not answered in time.
    config = config.replace(f"barrier_ms = {BARRIER_MS}", "barrier_ms = 60000")
    with running(config, tmp_path) as gate, Records(gate) as records:
        (pid,) = processes(gate, "gate")
        with Traffic(gate.address) as traffic:
            traffic.more(10)
            with injected(pid, f"{calls}:error={error}", tmp_path / "strace.log"):
                begun = len(traffic.seconds)
                traffic.more(60)
                meanwhile = sorted(traffic.seconds[begun:])
                assert counted(gate, "faregate_journal_disk_errors_total") > 0
            traffic.more(10)
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        assert meanwhile[-1] < PATIENCE / 3
        recorded_once(records, traffic.ids())
        assert counted(gate, "faregate_journal_lost_records_total") == 0


def test_a_disk_that_fails_now_and_then_loses_nothing(config: str, tmp_path: Path) -> None:
    with running(config, tmp_path) as gate, Records(gate) as records:
        (pid,) = processes(gate, "gate")
        with Traffic(gate.address, threads=4) as traffic:
            with injected(pid, "fdatasync:error=EIO:when=3+3", tmp_path / "strace.log"):
                traffic.more(100)
            assert counted(gate, "faregate_journal_disk_errors_total") > 3
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        recorded_once(records, traffic.ids())
        assert {record["content"] for record in records.all()} == {"full"}

"""The store is away, locked or slow: the app sees nothing, the journal grows, and everything is recorded once when the store is back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.faults import Postgres, asked, counted, injected, locked, postgres, processes, running, token
from tests.harness.records import Records
from tests.harness.steps import answer
from tests.harness.traffic import Traffic, recorded_once
from tests.harness.upstream import OK, ScriptedUpstream
from tests.harness.wire import until
from tests.wire.settings import KEYS, upstream_table

pytestmark = pytest.mark.slow
LOCK_SECONDS = 10


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running_server:
        yield running_server


@pytest.fixture
def config(upstream: ScriptedUpstream) -> str:
    upstream.plan(answer(OK))
    return upstream_table("openai", upstream.port) + KEYS


def on_postgres(server: Postgres, config: str) -> str:
    return f'[storage]\ndatabase_url = "{server.url()}"\n{config}'


def test_postgres_stops_under_traffic_and_starts_again(server: Postgres, config: str, tmp_path: Path) -> None:
    with running(on_postgres(server, config), tmp_path) as gate, Records(gate) as records:
        with Traffic(gate.address) as traffic:
            first = traffic.more(20)
            recorded_once(records, first)
            pending = counted(gate, "faregate_journal_pending_bytes")
            server.stop()
            traffic.more(60)
            until(lambda: counted(gate, "faregate_journal_pending_bytes") > pending, "the journal does not grow")
            started = time.monotonic()
            problem = asked(gate, "/api/v1/calls", token(gate))
            assert problem.status == 503
            assert problem.header("content-type") == "application/problem+json"
            assert json.loads(problem.body.data)["status"] == 503
            assert time.monotonic() - started < 10
            assert json.loads(asked(gate, "/readyz").body.data)["ready"] is True
            server.start()
            traffic.more(20)
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        recorded_once(records, traffic.ids())
        assert counted(gate, "faregate_journal_lost_records_total") == 0


def test_postgres_is_away_when_the_office_starts(server: Postgres, config: str, tmp_path: Path) -> None:
    server.stop()
    with running(on_postgres(server, config), tmp_path) as gate, Records(gate) as records:
        with Traffic(gate.address) as traffic:
            traffic.more(40)
            until(
                lambda: asked(gate, "/api/v1/calls", token(gate)).status == 503,
                "the office does not say that its store is away",
                30,
            )
            server.start()
            traffic.more(10)
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        recorded_once(records, traffic.ids())


def test_another_process_holds_the_sqlite_file_for_ten_seconds(config: str, tmp_path: Path) -> None:
    with running(config, tmp_path) as gate, Records(gate) as records:
        with Traffic(gate.address) as traffic:
            recorded_once(records, traffic.more(10))
            with locked(gate.data / "faregate.db"):
                meanwhile = traffic.more(10)
                traffic.go_on(LOCK_SECONDS)
                assert next(records.all())["id"] not in meanwhile
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        recorded_once(records, traffic.ids())


def test_the_stores_disk_is_slow(config: str, tmp_path: Path) -> None:
    with running(config, tmp_path) as gate, Records(gate) as records:
        with Traffic(gate.address) as traffic:
            recorded_once(records, traffic.more(10))
            (office,) = processes(gate, "office")
            with injected(office, "fsync,fdatasync:delay_enter=2000000", tmp_path / "strace.log"):
                before = len(traffic.seconds)
                traffic.more(100)
                meanwhile = sorted(traffic.seconds[before:])
        assert (set(traffic.statuses), traffic.failed) == ({200}, [])
        assert meanwhile[-1] < 2  # nobody waited for a sync of the store
        recorded_once(records, traffic.ids())

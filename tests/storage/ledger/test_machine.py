"""No order of events breaks a budget: the state machine on all three ledgers."""

import asyncio

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.storage.ledger.conftest import Ledgers, fresh_ledgers
from tests.storage.ledger.machine import LedgerMachine

SETTINGS = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)


@pytest.mark.parametrize("workers", [2, 10, 50, 200])
@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis"])
def test_no_order_of_events_passes_a_budget(kind: str, workers: int, tmp_path, request: pytest.FixtureRequest) -> None:
    with asyncio.Runner() as runner:
        found = fresh_ledgers(kind, tmp_path, lambda: request.getfixturevalue("redis_url"))

        class Machine(LedgerMachine):
            ledgers: Ledgers = found

        Machine.runner, Machine.workers = runner, workers
        try:
            run_state_machine_as_test(Machine, settings=SETTINGS)
        finally:
            runner.run(found.close())

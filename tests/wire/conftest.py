"""Gates for the wire tests: one that takes calls below ASGI, one that takes them through ASGI, both pointed at one upstream."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.gate import Gate, run_gate
from tests.harness.upstream import ScriptedUpstream
from tests.wire.budgets import for_budgets, prepare
from tests.wire.settings import for_wire, save_stored_keys


@pytest.fixture(scope="session")
def protocol_gate(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    yield from _running(upstream, tmp_path_factory.mktemp("protocol"), asgi=False)


@pytest.fixture(scope="session")
def asgi_gate(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    yield from _running(upstream, tmp_path_factory.mktemp("asgi"), asgi=True)


def _running(upstream: ScriptedUpstream, folder: Path, *, asgi: bool) -> Iterator[Gate]:
    save_stored_keys(folder / "data")
    gate = run_gate(for_wire(upstream.port), asgi=asgi, data=folder)
    yield gate
    gate.stop()


@pytest.fixture(params=["protocol", "asgi"])
def gate(request: pytest.FixtureRequest) -> Gate:
    """Every wire test runs through both ways in."""
    running: Gate = request.getfixturevalue(f"{request.param}_gate")
    assert running.alive, running.said()[-2000:]
    return running


@pytest.fixture(scope="session", params=["protocol", "asgi"])
def running_budgets(
    request: pytest.FixtureRequest, upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gate]:
    """A gate whose keys have budgets. No office runs: what is held stays held."""
    yield from _with_budgets(upstream, tmp_path_factory.mktemp("budgets"), asgi=request.param == "asgi")


@pytest.fixture(scope="session", params=["protocol", "asgi"])
def running_exact(
    request: pytest.FixtureRequest, upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gate]:
    """The same, where the end of an answer waits for its record."""
    extra = '[record]\nbarrier = "exact"\n'
    yield from _with_budgets(upstream, tmp_path_factory.mktemp("exact"), asgi=request.param == "asgi", extra=extra)


def _with_budgets(upstream: ScriptedUpstream, folder: Path, *, asgi: bool, extra: str = "") -> Iterator[Gate]:
    prepare(folder / "data")
    gate = run_gate(for_budgets(upstream.port, extra), asgi=asgi, data=folder)
    yield gate
    gate.stop()

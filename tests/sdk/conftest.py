"""A gate for the official SDKs: `openai` and `anthropic` are a scripted upstream, `sim` is inside."""

from collections.abc import Iterator

import pytest

from tests.harness.gate import Gate, run_gate
from tests.harness.upstream import ScriptedUpstream
from tests.wire.settings import MANAGED, for_wire


@pytest.fixture(scope="session", params=["protocol", "asgi"])
def sdk_gate(
    request: pytest.FixtureRequest, upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gate]:
    gate = run_gate(for_wire(upstream.port), asgi=request.param == "asgi", data=tmp_path_factory.mktemp("sdk"))
    yield gate
    gate.stop()


@pytest.fixture
def gate(sdk_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Set what an app would set, and nothing else."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{sdk_gate.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", MANAGED)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{sdk_gate.url}/anthropic")
    monkeypatch.setenv("ANTHROPIC_API_KEY", MANAGED)
    assert sdk_gate.alive, sdk_gate.said()[-2000:]
    return sdk_gate

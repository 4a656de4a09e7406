"""A whole gateway: gate, office and what supervises them, started by the command that users start it with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.gate import Gate, run_gate
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until
from tests.wire.settings import KEYS, upstream_table

UP = ("-m", "gateway", "up")


@pytest.fixture
def whole(request: pytest.FixtureRequest, upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Gate]:
    """Start a gateway; a test may give further settings as the fixture's parameter."""
    tables = getattr(request, "param", "")
    tables += upstream_table("openai", upstream.port) + upstream_table("anthropic", upstream.port, path="", dialect="anthropic")
    gate = run_gate(tables + KEYS, data=tmp_path, command=UP)
    until((gate.data / "local.json").exists, "the gateway does not say how it is reached")
    yield gate
    gate.stop()

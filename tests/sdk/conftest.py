"""A gate for the official SDKs: `openai` and `anthropic` are a scripted upstream, `sim` is inside."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.gate import Gate, run_gate
from tests.harness.upstream import ScriptedUpstream
from tests.wire.settings import MANAGED, for_wire

NODE, NPM = shutil.which("node"), shutil.which("npm")


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


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the SDKs into a folder of their own, once."""
    if NODE is None or NPM is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"name":"app","private":true,"type":"module"}')
    command = [NPM, "install", "--no-audit", "--no-fund", "openai", "@anthropic-ai/sdk"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        pytest.skip(f"npm could not install the SDKs: {done.stderr.strip()[-300:]}")
    shutil.copy(Path(__file__).with_name("node_app.mjs"), folder / "app.mjs")
    return folder

"""The official SDKs for Node, unmodified, from an app of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.gate import Gate
from tests.harness.steps import answer
from tests.harness.upstream import ScriptedUpstream
from tests.wire.settings import MANAGED

NODE, NPM = shutil.which("node"), shutil.which("npm")
FILE = b'{"id":"file-1","object":"file","bytes":9,"created_at":1,"filename":"x.bin","purpose":"batch"}'


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


def test_an_app_on_node(app: Path, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(
        answer(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(FILE), FILE))
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(app),
        "OPENAI_BASE_URL": f"{gate.url}/v1",
        "OPENAI_API_KEY": MANAGED,
        "ANTHROPIC_BASE_URL": f"{gate.url}/sim",
        "ANTHROPIC_API_KEY": MANAGED,
        "BAD_KEY": "fg-" + "nobody-nobody-nobody-nobody-nobody",
    }
    done = subprocess.run(
        [NODE or "node", "app.mjs"], cwd=app, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    assert seen["chat"] == seen["streamed"] != ""
    assert seen["usageInStream"] is False
    assert seen["message"] == seen["messageStreamed"] != ""
    assert (seen["tool"], seen["response"], seen["vectors"], seen["file"]) == ("get_weather", "completed", 2, "file-1")
    assert seen["refused"] == [401, "invalid_api_key"]
    assert upstream.received[0].body is not None
    assert bytes([7]) * 300_000 in upstream.received[0].body.data

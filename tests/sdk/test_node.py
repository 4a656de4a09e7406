"""The official SDKs for Node, unmodified, from an app of its own."""

import json
import os
import subprocess
from pathlib import Path

from tests.harness.gate import Gate
from tests.harness.steps import answer
from tests.harness.upstream import ScriptedUpstream
from tests.sdk.conftest import NODE
from tests.wire.settings import MANAGED

FILE = b'{"id":"file-1","object":"file","bytes":9,"created_at":1,"filename":"x.bin","purpose":"batch"}'


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

"""Through a gate with budgets, the official SDKs send a refused call once, and raise when a stream is cut."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.harness.gate import Gate, run_gate
from tests.harness.steps import AwaitClosed, ReadBody, Send, answer
from tests.harness.upstream import OK, ScriptedUpstream
from tests.sdk.conftest import NODE
from tests.wire.budgets import DELTA, ENOUGH, HEAD, chunk, for_budgets, prepare, secret

ASKED: Any = [{"role": "user", "content": "hi"}]
NODE_APP = """
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";

const seen = {};
const counting = (name) => async (url, init) => {
  seen[name] = (seen[name] ?? 0) + 1;
  return fetch(url, init);
};
const messages = [{ role: "user", content: "hi" }];
for (const name of ["spent", "spent-402"]) {
  const settings = { apiKey: process.env[name], fetch: counting(name) };
  try {
    await new OpenAI(settings).chat.completions.create({ model: "m", max_tokens: 450, messages });
  } catch (error) {
    seen[`${name} error`] = [error.status, error.code, error.headers.get("x-faregate-budget")];
  }
  const other = { apiKey: process.env[name], fetch: counting(`${name} messages`) };
  try {
    await new Anthropic(other).messages.create({ model: "m", max_tokens: 450, messages });
  } catch (error) {
    seen[`${name} messages error`] = error.status;
  }
}
console.log(JSON.stringify(seen));
"""


@pytest.fixture(scope="module")
def gate(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("budgets")
    prepare(folder / "data")
    running = run_gate(for_budgets(upstream.port), data=folder)
    yield running
    running.stop()


def key(name: str) -> str:
    return secret(name).decode()


def sent(client: openai.OpenAI | anthropic.Anthropic) -> list[str]:
    """Return a list that gets a line for each request that the client sends."""
    lines: list[str] = []
    hooks = client._client.event_hooks
    client._client.event_hooks = {**hooks, "request": [*hooks["request"], lambda request: lines.append(str(request.url))]}
    return lines


@pytest.mark.parametrize(("name", "kind"), [("spent", openai.RateLimitError), ("spent-402", openai.APIStatusError)])
def test_openai_for_python_sends_a_refused_call_once(
    name: str, kind: type[openai.APIStatusError], gate: Gate, upstream: ScriptedUpstream
) -> None:
    upstream.plan(answer(OK))
    with openai.OpenAI(base_url=f"{gate.url}/v1", api_key=key(name)) as client:
        lines = sent(client)
        with pytest.raises(kind, match=f"Budget 'key:{name}' would be exceeded") as caught:
            client.chat.completions.create(model="m", max_tokens=450, messages=ASKED)
    assert (len(lines), upstream.received, caught.value.code) == (1, [], "insufficient_quota")


@pytest.mark.parametrize("name", ["spent", "spent-402"])
def test_anthropic_for_python_sends_a_refused_call_once(name: str, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    with anthropic.Anthropic(base_url=f"{gate.url}/anthropic", api_key=key(name)) as client:
        lines = sent(client)
        with pytest.raises(anthropic.APIStatusError, match=f"Budget 'key:{name}' would be exceeded"):
            client.messages.create(model="m", max_tokens=450, messages=ASKED)
    assert (len(lines), upstream.received) == (1, [])


def test_openai_for_python_raises_when_a_stream_is_cut(gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan((ReadBody(), Send(HEAD), Send(chunk(DELTA * ENOUGH)), AwaitClosed()))
    words = []
    with openai.OpenAI(base_url=f"{gate.url}/v1", api_key=key("cut")) as client:
        stream = client.chat.completions.create(model="m", max_tokens=9_000, messages=ASKED, stream=True)
        with pytest.raises(openai.APIError, match="Budget 'key:cut' would be exceeded") as caught:
            words.extend(event.choices[0].delta.content for event in stream)
    assert caught.value.code == "insufficient_quota"
    assert len(upstream.received) == 1


def test_the_sdks_for_node_send_a_refused_call_once(app: Path, gate: Gate, upstream: ScriptedUpstream) -> None:
    upstream.plan(answer(OK))
    (app / "budgets.mjs").write_text(NODE_APP)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(app),
        "OPENAI_BASE_URL": f"{gate.url}/v1",
        "ANTHROPIC_BASE_URL": f"{gate.url}/anthropic",
        "spent": key("spent"),
        "spent-402": key("spent-402"),
    }
    done = subprocess.run(
        [NODE or "node", "budgets.mjs"], cwd=app, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    for name, status in (("spent", 429), ("spent-402", 402)):
        assert (seen[name], seen[f"{name} messages"]) == (1, 1)
        told = f"key:{name};limit=0.0000005;spent=0.00;held=0.00;resets=never"
        assert seen[f"{name} error"] == [status, "insufficient_quota", told]
        assert seen[f"{name} messages error"] == status
    assert upstream.received == []

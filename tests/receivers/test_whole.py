"""From an app's call through a whole gateway to real servers: what they show is what Faregate recorded."""

import json
import os
import subprocess
import sys

import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.gate import ROOT, run_gate
from tests.harness.records import Records
from tests.harness.steps import answer
from tests.harness.wire import until
from tests.pricing.shapes import chat
from tests.receivers.calls import PATIENCE, eventually
from tests.receivers.reading import Experiment, Project, id_of
from tests.wire.settings import KEYS, MANAGED, upstream_table

# One worker has all of them: each server starts once.
pytestmark = pytest.mark.slow

UP = ("-m", "gateway", "up")
DESTINATIONS = """
[destinations.phoenix]
type = "phoenix"
url = "{phoenix}"
project = "whole"
allow_private = true

[destinations.mlflow]
type = "mlflow"
url = "{mlflow}"
experiment_id = "{experiment}"
allow_private = true
timeout = "60s"
"""
LABELS = b"x-faregate-session: sess-whole\r\nx-faregate-run: run-whole\r\nx-faregate-user: user-whole\r\n"
ASKED = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"What is behind the gate?"}]}'


def answered(status: int, value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 %d Oh\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "A city."}, "finish_reason": "stop"}],
    "usage": chat(1_200, 80, cached=1_024, reasoning=32),
}
REFUSED = {"error": {"message": "The prompt is too long.", "type": "invalid_request_error", "code": "context_length_exceeded"}}


@pytest.fixture(scope="module")
def places(phoenix, mlflow):
    """A project and an experiment of this module's."""
    with Project(phoenix, "whole") as project, Experiment(mlflow, "whole") as experiment:
        yield project, experiment


@pytest.fixture(scope="module")
def gate(places, upstream, tmp_path_factory):
    """A whole gateway that sends to both."""
    project, experiment = places
    told = DESTINATIONS.format(phoenix=project.config.url, mlflow=experiment.config.url, experiment=experiment.id)
    running = run_gate(
        upstream_table("openai", upstream.port) + KEYS + told, data=tmp_path_factory.mktemp("receivers"), command=UP
    )
    until((running.data / "local.json").exists, "the gateway does not say how it is reached")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def calls(gate, upstream):
    """The records of two calls of one run: one was answered, one refused."""
    upstream.plan(answer(answered(200, COMPLETION)), answer(answered(400, REFUSED)))
    with Records(gate) as records:
        return [records.one(made(gate)) for _ in range(2)]


def made(gate):
    """Make a call, and return its id."""
    with RawClient(gate.address) as client:
        client.send(request(body=ASKED, headers=LABELS, credential=b"Bearer " + MANAGED.encode()))
        return client.answer().header("x-faregate-call")


def test_calls_arrive_at_phoenix_as_they_were_recorded(calls, places):
    good, bad = calls
    project, _ = places
    spans = project.spans(2)
    shown = spans[good["span_id"]]
    assert {span["context"]["trace_id"] for span in spans.values()} == {good["trace_id"]}
    assert shown["attributes"]["llm.input_messages.0.message.contents.0.message_content.text"] == "What is behind the gate?"
    assert shown["attributes"]["llm.token_count.prompt_details.cache_read"] == good["usage"]["cache_read_tokens"] == 1_024
    assert shown["attributes"]["llm.token_count.completion_details.reasoning"] == good["usage"]["reasoning_tokens"] == 32
    assert shown["attributes"]["llm.cost.total"] == float(good["cost_usd"]) > 0
    assert spans[bad["span_id"]]["status_code"] == "ERROR"
    assert "The prompt is too long." in spans[bad["span_id"]]["status_message"]
    [session] = project.listed("sessions")
    assert session["session_id"] == "sess-whole"


def test_calls_arrive_at_mlflow_as_they_were_recorded(calls, places):
    good, bad = calls
    _, experiment = places
    eventually(experiment.search, lambda traces: traces, "no trace came to MLflow")
    trace = eventually(
        lambda: experiment.trace(good["trace_id"]), lambda trace: len(trace["spans"]) >= 2, "a call did not come to MLflow"
    )
    assert {id_of(span) for span in trace["spans"]} == {good["span_id"], bad["span_id"]}
    told = trace["trace_info"]["trace_metadata"]
    assert json.loads(told["mlflow.trace.cost"])["total_cost"] == float(good["cost_usd"]) > 0
    assert json.loads(told["mlflow.trace.tokenUsage"])["cache_read_input_tokens"] == 1_024
    assert (told["mlflow.trace.session"], told["mlflow.trace.user"]) == ("sess-whole", "user-whole")
    [refused] = [span for span in trace["spans"] if id_of(span) == bad["span_id"]]
    assert refused["status"]["code"] == "STATUS_CODE_ERROR"
    assert "The prompt is too long." in refused["status"]["message"]


@pytest.mark.parametrize("name", ["phoenix", "mlflow"])
def test_a_test_from_the_command_line_arrives_and_says_where_to_look(name, gate, calls, places):
    project, experiment = places
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "destinations", "test", name, "--json", "--data", str(gate.data)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(gate.data)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    trace = json.loads(done.stdout)["trace_id"]
    if name == "mlflow":
        assert f"tr-{trace}" in json.loads(done.stdout)["look_at"]
        assert len(experiment.trace(trace)["spans"]) == 1
    else:
        eventually(
            lambda: {one["trace_id"] for one in project.listed("traces")},
            lambda traces: trace in traces,
            "the test's span is not there",
        )


def test_both_have_everything_that_was_owed(gate, calls, places):
    with Records(gate) as records:
        found = eventually(
            lambda: [records.find(call["id"]) for call in calls],
            lambda calls: all(len(_delivered(call)) == 2 for call in calls),
            "a call is not delivered",
        )
    assert [_delivered(call) for call in found] == [["mlflow", "phoenix"]] * 2


def _delivered(call):
    return sorted(one["destination"] for one in call["deliveries"] if one["state"] == "delivered")

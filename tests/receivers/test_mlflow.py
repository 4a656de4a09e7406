"""A real MLflow tracking server takes what we send, and shows it: one test for each thing that somebody looks for there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from destinations.mlflow import MlflowConfig
from destinations.otlp import OtlpConfig
from domain.destinations import Misconfigured, Parcel, Payload, Receipt, Rejected
from tests.destinations.fixture import IMAGE_URL, QUESTION, RESPONSE, bare_variant, error_variant, fixture_span, parcel
from tests.receivers.calls import conversation, fresh, odd_ones, sent, sent_bytes
from tests.receivers.reading import Experiment, id_of, plain

# One worker has all of them: each server starts once.
pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Shown:
    """A conversation that was sent, and what became of it."""

    calls: list[Parcel]
    receipt: Receipt
    trace: dict[str, Any]
    reading: Experiment

    def of(self, number: int) -> dict[str, Any]:
        """Return a call as it is shown; its attributes are Python's."""
        [span] = [one for one in self.trace["spans"] if id_of(one) == self.calls[number].span.span_id]
        return {**span, "attributes": {one["key"]: plain(one["value"]) for one in span["attributes"]}}

    def about(self, name: str) -> Any:
        """Return what the trace says of itself."""
        return json.loads(self.trace["trace_info"]["trace_metadata"][f"mlflow.trace.{name}"])


@pytest.fixture(scope="module")
def shown(mlflow) -> Iterator[Shown]:
    """Three calls of one run, in one request."""
    with Experiment(mlflow, "shop") as reading:
        calls = conversation("run-shop")
        receipt = sent(reading.config, calls)
        yield Shown(calls, receipt, reading.trace(calls[0].span.trace_id), reading)


def test_all_calls_of_a_run_are_one_trace_under_their_own_ids(shown):
    assert (shown.receipt.status, shown.receipt.refused) == (200, 0)
    assert {id_of(span) for span in shown.trace["spans"]} == {one.span.span_id for one in shown.calls}
    assert {span["name"] for span in shown.trace["spans"]} == {"chat gpt-4o-mini"}
    info = shown.trace["trace_info"]
    assert (info["request_time"], info["execution_duration"]) == ("2026-11-20T23:00:00Z", "1.234s")
    assert [one["trace_id"] for one in shown.reading.search()] == [f"tr-{shown.calls[0].span.trace_id}"]


def test_tokens_are_counted_as_ours_are(shown):
    tokens = {
        "input_tokens": 1200,
        "output_tokens": 80,
        "total_tokens": 1280,
        "cache_read_input_tokens": 1024,
        "cache_creation_input_tokens": 16,
    }
    for number in (0, 2):
        assert shown.of(number)["attributes"]["mlflow.chat.tokenUsage"] == tokens
        assert shown.of(number)["attributes"]["gen_ai.usage.reasoning.output_tokens"] == 32
    assert "mlflow.chat.tokenUsage" not in shown.of(1)["attributes"]
    assert shown.about("tokenUsage") == {name: 2 * count for name, count in tokens.items()}


def test_costs_are_ours(shown):
    ours = fixture_span().cost / 10**12
    assert shown.of(0)["attributes"]["mlflow.llm.cost"] == {
        "input_cost": 0.000111,
        "output_cost": 0.000222,
        "total_cost": ours,
    }
    assert shown.about("cost")["total_cost"] == pytest.approx(2 * ours, rel=1e-12)


def test_messages_the_image_and_tools_are_shown(shown):
    told = shown.of(0)["attributes"]
    assert (told["mlflow.spanType"], told["mlflow.llm.model"]) == ("CHAT_MODEL", "gpt-4o-mini-2024-07-18")
    system, user = told["mlflow.spanInputs"]
    assert system["role"] == "system"
    assert user["parts"][0] == {"type": "text", "content": QUESTION}
    assert user["parts"][1]["uri"] == IMAGE_URL
    [answer] = told["mlflow.spanOutputs"]
    [call] = [part for part in answer["parts"] if part["type"] == "tool_call"]
    assert (call["name"], call["arguments"]) == ("get_weather", {"city": "Paris"})
    assert [tool["name"] for tool in told["gen_ai.tool.definitions"]] == ["get_weather"]


def test_a_session_and_a_user_are_what_traces_are_found_by(shown):
    found = shown.reading.search("metadata.`mlflow.trace.session` = 'run-shop'")
    assert [one["trace_id"] for one in found] == [f"tr-{shown.calls[0].span.trace_id}"]
    assert found[0]["trace_metadata"]["mlflow.trace.user"] == "user-1"
    assert not shown.reading.search("metadata.`mlflow.trace.session` = 'run-other'")


def test_a_refused_call_is_an_error_with_its_message(shown):
    one = shown.of(1)
    assert one["status"] == {"code": "STATUS_CODE_ERROR", "message": "429 rate limited"}
    [event] = one["events"]
    assert event["name"] == "exception"
    assert {"key": "exception.type", "value": {"string_value": "rate_limit_exceeded"}} in event["attributes"]
    assert [shown.of(number)["status"].get("code") for number in (0, 2)] == [None, None]


def test_a_trace_that_is_nothing_but_an_error_is_one(mlflow):
    with Experiment(mlflow, "error") as reading:
        call = fresh(error_variant(), run="run-error")
        sent(reading.config, [call])
        info = reading.trace(call.span.trace_id)["trace_info"]
    assert info["state"] == "ERROR"
    assert "mlflow.trace.cost" not in info["trace_metadata"]


def test_a_run_that_comes_call_by_call_and_twice_counts_each_call_once(mlflow):
    with Experiment(mlflow, "again") as reading:
        calls = conversation("run-again")
        for _ in range(2):
            for one in calls:
                assert sent(reading.config, [one]).status == 200
        trace = reading.trace(calls[0].span.trace_id)
        found = reading.search()
    assert sorted(id_of(span) for span in trace["spans"]) == sorted(one.span.span_id for one in calls)
    assert len(found) == 1
    told = {name: json.loads(trace["trace_info"]["trace_metadata"][f"mlflow.trace.{name}"]) for name in ("tokenUsage", "cost")}
    assert told["tokenUsage"]["total_tokens"] == 2 * 1280
    assert told["cost"]["total_cost"] == pytest.approx(2 * 0.000333, rel=1e-12)


def test_a_parent_that_it_never_saw_makes_no_orphan(mlflow):
    """What a trace was asked and answered is what its root was."""
    with Experiment(mlflow, "parents") as reading:
        call = fresh(parcel(), run="run-parent")
        call.span.parent_span_id = "00f067aa0ba902b7"
        sent(reading.config, [call])
        trace = reading.trace(call.span.trace_id)
    [span] = trace["spans"]
    assert not span.get("parent_span_id")
    assert (trace["trace_info"]["state"], trace["trace_info"]["execution_duration"]) == ("OK", "1.234s")
    assert QUESTION in trace["trace_info"]["request_preview"]
    assert "get_weather" in trace["trace_info"]["response_preview"]


def test_whatever_a_call_holds_is_taken_and_can_be_shown(mlflow):
    with Experiment(mlflow, "odd") as reading:
        calls = [*odd_ones("run-odd"), fresh(bare_variant(), run="run-bare")]
        receipt = sent(reading.config, calls)
        assert (receipt.status, receipt.refused) == (200, 0)
        assert {one["trace_id"] for one in reading.search()} == {f"tr-{one.span.trace_id}" for one in calls}
        for one in calls:
            [span] = reading.trace(one.span.trace_id)["spans"]
            assert id_of(span) == one.span.span_id


def test_a_number_that_it_could_not_show_again_is_shown(mlflow):
    """Whole numbers of more than 64 bits are taken by it, and make every page that they are on fail."""
    one = fresh(parcel(), run="run-number")
    output = json.loads(json.dumps(RESPONSE))
    output["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = json.dumps({"n": 2**70})
    with Experiment(mlflow, "number") as reading:
        sent(reading.config, [replace(one, content=replace(one.content, output=output, response=json.dumps(output).encode()))])
        [span] = reading.trace(one.span.trace_id)["spans"]
    assert str(2**70) in json.dumps(span["attributes"])


def test_what_cannot_be_read_is_rejected(mlflow):
    config = MlflowConfig(url=mlflow.url, experiment_id="0", allow_private=True, timeout=60)
    with pytest.raises(Rejected):
        sent_bytes(config, Payload(b"no protobuf", "application/x-protobuf", ("1",)))


def test_an_experiment_that_there_is_not_waits_for_somebody(mlflow):
    config = MlflowConfig(url=mlflow.url, experiment_id="987654321", allow_private=True, timeout=60)
    with pytest.raises(Misconfigured) as caught:
        sent(config, [fresh(parcel(), run="run-nowhere")])
    assert caught.value.status == 404


def test_json_is_taken_as_protobuf_is(mlflow):
    with Experiment(mlflow, "json") as reading:
        headers = {"x-mlflow-experiment-id": reading.id}
        config = OtlpConfig(url=mlflow.url, headers=headers, encoding="json", allow_private=True, timeout=60)
        call = fresh(parcel(), run="run-json")
        assert sent(config, [call]).status == 200
        [span] = reading.trace(call.span.trace_id)["spans"]
    assert id_of(span) == call.span.span_id

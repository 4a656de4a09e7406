"""A real Phoenix takes what we send, and shows it: one test for each thing that somebody looks for there."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from destinations.phoenix import PhoenixConfig
from domain.destinations import Parcel, Payload, Receipt, Rejected
from tests.destinations.fixture import IMAGE_URL, QUESTION, REASONING, bare_variant, fixture_span, parcel
from tests.receivers.calls import conversation, eventually, fresh, odd_ones, sent, sent_bytes
from tests.receivers.reading import Project

# One worker has all of them: each server starts once.
pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Shown:
    """A conversation that was sent, and what became of it."""

    calls: list[Parcel]
    receipt: Receipt
    spans: dict[str, dict[str, Any]]
    reading: Project

    def of(self, number: int) -> dict[str, Any]:
        """Return a call as it is shown."""
        return self.spans[self.calls[number].span.span_id]


@pytest.fixture(scope="module")
def shown(phoenix):
    """Three calls of one run, in one request."""
    with Project(phoenix, "shop") as reading:
        calls = conversation("run-shop")
        receipt = sent(reading.config, calls)
        yield Shown(calls, receipt, reading.spans(3), reading)


def test_all_calls_are_taken_and_are_there_under_their_own_ids(shown):
    assert (shown.receipt.status, shown.receipt.refused) == (200, 0)
    assert set(shown.spans) == {one.span.span_id for one in shown.calls}
    assert {span["name"] for span in shown.spans.values()} == {"chat gpt-4o-mini"}
    assert {span["span_kind"] for span in shown.spans.values()} == {"LLM"}
    assert {span["parent_id"] for span in shown.spans.values()} == {None}
    assert (shown.of(0)["start_time"], shown.of(0)["end_time"]) == (
        "2026-11-20T23:00:00+00:00",
        "2026-11-20T23:00:01.234000+00:00",
    )


def test_messages_the_image_and_tools_are_shown(shown):
    told = shown.of(0)["attributes"]
    asked = "llm.input_messages.1.message.contents"
    assert told["llm.input_messages.0.message.role"] == "system"
    assert told[f"{asked}.0.message_content.text"] == QUESTION
    assert told[f"{asked}.1.message_content.image.image.url"] == IMAGE_URL
    assert json.loads(told["llm.tools.0.tool.json_schema"])["name"] == "get_weather"
    answered = "llm.output_messages.0.message"
    assert told[f"{answered}.contents.0.message_content.text"] == REASONING
    assert told[f"{answered}.tool_calls.0.tool_call.function.name"] == "get_weather"
    assert json.loads(told[f"{answered}.tool_calls.0.tool_call.function.arguments"]) == {"city": "Paris"}
    assert told["llm.model_name"] == "gpt-4o-mini-2024-07-18"
    assert json.loads(told["llm.invocation_parameters"]) == {"temperature": 0.2, "max_tokens": 256}


def test_tokens_are_counted_as_ours_are(shown):
    costs = eventually(
        shown.reading.costs,
        lambda costs: all(costs[shown.calls[number].span.span_id]["costDetailSummaryEntries"] for number in (0, 2)),
        "costs were not worked out",
    )
    for number in (0, 2):
        one = costs[shown.calls[number].span.span_id]
        assert (one["tokenCountPrompt"], one["tokenCountCompletion"]) == (1200, 80)
        counted = {entry["tokenType"]: entry["value"]["tokens"] for entry in one["costDetailSummaryEntries"]}
        assert counted == {"input": 160, "cache_read": 1024, "cache_write": 16, "output": 48, "reasoning": 32}


def test_our_cost_is_kept_as_an_attribute_and_the_one_in_sums_is_from_its_own_prices(shown):
    """There is no field that it would take a cost from: where this fails, the platform's page has a sentence too many."""
    ours = fixture_span().cost / 10**12
    assert shown.of(0)["attributes"]["llm.cost.total"] == ours
    id_ = shown.calls[0].span.span_id
    costs = eventually(
        shown.reading.costs, lambda costs: (costs[id_]["costSummary"] or {}).get("total"), "no cost was worked out"
    )
    assert costs[id_]["costSummary"]["total"]["cost"] not in {None, 0, ours}


def test_with_our_prices_it_shows_our_cost(phoenix):
    """It reads its prices now and then, so that calls are sent until one came after that."""
    with Project(phoenix, "prices") as reading:
        prompt = {"input": 0.15, "cache_read": 0.075, "cache_write": 0.6375}
        reading.set_prices("gate-model", prompt, {"output": 2.775, "reasoning": 2.775})

        def totals():
            one = fresh(parcel(), run="run-prices")
            sent(reading.config, [replace(one, span=replace(one.span, served_model="gate-model"))])
            return [node["costSummary"]["total"]["cost"] for node in reading.costs().values() if node["costSummary"]]

        ours = fixture_span().cost / 10**12
        found = eventually(totals, lambda totals: any(total == pytest.approx(ours) for total in totals), "our prices do not hold")
    assert all(total is None or total == pytest.approx(ours) for total in found)


def test_a_refused_call_is_an_error_with_its_message(shown):
    one = shown.of(1)
    assert (one["status_code"], one["status_message"]) == ("ERROR", "429 rate limited")
    [event] = one["events"]
    assert event["name"] == "exception"
    assert event["attributes"]["exception.type"] == "rate_limit_exceeded"
    assert [shown.of(number)["status_code"] for number in (0, 2)] == ["UNSET", "UNSET"]
    assert shown.reading.costs()[shown.calls[1].span.span_id]["costSummary"] is None


def test_a_streamed_call_says_so(shown):
    told = shown.of(2)["attributes"]
    assert told["gen_ai.request.stream"] is True
    assert told["gen_ai.response.time_to_first_chunk"] == 0.41
    assert "gen_ai.request.stream" not in shown.of(0)["attributes"]


def test_a_run_is_one_trace_and_a_session_holds_it(shown):
    [trace] = shown.reading.listed("traces", include_spans="true")
    assert trace["trace_id"] == shown.calls[0].span.trace_id
    assert {span["span_id"] for span in trace["spans"]} == set(shown.spans)
    assert (trace["token_count_prompt"], trace["token_count_completion"]) == (2400, 160)
    [session] = shown.reading.listed("sessions")
    assert session["session_id"] == "run-shop"
    assert [one["trace_id"] for one in session["traces"]] == [trace["trace_id"]]
    assert {span["attributes"]["user.id"] for span in shown.spans.values()} == {"user-1"}


def test_what_is_sent_again_is_there_once_and_the_first_one_stays(phoenix):
    with Project(phoenix, "again") as reading:
        first = fresh(parcel(), run="run-again")
        other = replace(first, span=replace(first.span, model="another"))
        last = fresh(parcel(), run="run-after")
        # Queues are worked off in order: when the last one is there, those before it have been looked at.
        for one in (first, first, other, last):
            assert sent(reading.config, [one]).status == 200
        spans = eventually(
            lambda: reading.listed("spans"),
            lambda spans: last.span.span_id in {span["context"]["span_id"] for span in spans},
            "the last span did not come",
        )
    named = sorted((span["context"]["span_id"], span["name"]) for span in spans)
    assert named == sorted((one.span.span_id, "chat gpt-4o-mini") for one in (first, last))


def test_a_parent_that_it_never_saw_makes_no_orphan(phoenix):
    with Project(phoenix, "parents") as reading:
        call = fresh(parcel(), run="run-parent")
        call.span.parent_span_id = "00f067aa0ba902b7"
        kept = fresh(call, run="run-kept")
        sent(reading.config, [call])
        sent(reading.config.model_copy(update={"parents": "keep"}), [kept])
        spans = reading.spans(2)
    assert spans[call.span.span_id]["parent_id"] is None
    assert spans[kept.span.span_id]["parent_id"] == "00f067aa0ba902b7"


def test_whatever_a_call_holds_is_taken(phoenix):
    with Project(phoenix, "odd") as reading:
        calls = [*odd_ones("run-odd"), fresh(bare_variant(), run="run-bare")]
        receipt = sent(reading.config, calls)
        assert (receipt.status, receipt.refused) == (200, 0)
        assert set(reading.spans(len(calls))) == {one.span.span_id for one in calls}


def test_what_cannot_be_read_is_rejected_and_never_tried_again(phoenix):
    config = PhoenixConfig(url=phoenix.url, allow_private=True, timeout=60)
    with pytest.raises(Rejected) as caught:
        sent_bytes(config, Payload(b"no protobuf", "application/x-protobuf", ("1",)))
    assert caught.value.status == 422

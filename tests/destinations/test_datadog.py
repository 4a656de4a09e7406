import json
import re
from dataclasses import replace

import pytest
from pydantic import ValidationError

from destinations.client import client_for
from destinations.datadog import DatadogConfig, span_of
from domain.destinations import Misconfigured, Rejected, TooLarge
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import (
    BATCH,
    CALL_ID,
    STARTED_AT,
    bare_variant,
    error_variant,
    fixture_content,
    fixture_span,
    hostile,
    many,
    parcel,
    streamed_variant,
)
from tests.destinations.golden import golden
from tests.destinations.sink import Reply, Sink

KEY = "dd" + "0123456789abcdef"
KINDS = {"agent", "workflow", "llm", "tool", "task", "embedding", "retrieval"}
METRICS = {
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "ephemeral_1h_input_tokens",
    "ephemeral_5m_input_tokens",
    "reasoning_output_tokens",
    "time_to_first_token",
    "time_per_output_token",
    "input_cost",
    "output_cost",
    "total_cost",
}
DAY = 24 * 3600 * 10**9
MOST_BYTES = 5_000_000


def is_request(body):
    """Raise unless a body is what Datadog's spans API takes (../shared/reference/destinations.md section 4.9); return its spans."""
    data = json.loads(body)["data"]
    assert data["type"] == "span"
    attributes = data["attributes"]
    assert re.fullmatch(r"[a-z][a-z0-9_:./-]{0,192}", attributes["ml_app"])
    for span in attributes["spans"]:
        assert {"name", "trace_id", "span_id", "parent_id", "start_ns", "duration", "meta"} <= set(span)
        assert set(span) <= {
            "name",
            "trace_id",
            "span_id",
            "parent_id",
            "start_ns",
            "duration",
            "meta",
            "metrics",
            "tags",
            "status",
            "session_id",
        }
        assert all(isinstance(span[name], str) and span[name] for name in ("name", "trace_id", "span_id", "parent_id"))
        assert all(type(span[name]) is int for name in ("start_ns", "duration"))
        assert span["status"] in {"ok", "error"}
        assert ("error" in span["meta"]) == (span["status"] == "error")
        assert set(span["metrics"]) <= METRICS
        assert all(isinstance(value, int | float) for value in span["metrics"].values())
        assert all(isinstance(tag, str) and ":" in tag and len(tag) <= 200 for tag in span["tags"])
        is_meta(span["meta"])
    return attributes["spans"]


def is_meta(meta):
    assert meta["kind"] in KINDS
    for side in ("input", "output"):
        for message in meta[side].get("messages", ()):
            assert isinstance(message["content"], str)
            assert isinstance(message["role"], str)
            for call in message.get("tool_calls", ()):
                assert isinstance(call["arguments"], dict)
                assert isinstance(call["name"], str)
            for picture in message.get("image_parts", ()):
                assert set(picture) == {"mime_type", "content"}
        assert all(isinstance(one["text"], str) for one in meta[side].get("documents", ()))
        assert isinstance(meta[side].get("value", ""), str)
    assert all({"name", "description", "schema"} == set(tool) for tool in meta.get("tool_definitions", ()))


class Simulator:
    """Datadog's intake: 202 and nothing else, a day at most, five megabytes at most."""

    def __init__(self, now):
        self.spans = []
        self._now = now

    def __call__(self, got):
        if got.headers.get("dd-api-key") != KEY:
            return Reply(403, b'{"errors":["Forbidden"]}')
        if len(got.body) > MOST_BYTES:
            return Reply(413, b'{"errors":["payload too big"]}')
        assert got.path == "/api/intake/llm-obs/v1/trace/spans"
        spans = is_request(got.body)
        if any(span["start_ns"] < self._now - DAY for span in spans):
            return Reply(400, b'{"errors":["span is too old"]}')
        self.spans += spans
        return Reply(202)


def config(url="https://api.datadog.test", **settings):
    return DatadogConfig(**{"api_key": KEY, "url": url, "ml_app": "my-app", "allow_private": True, **settings})


async def sent(sink, *batches, **settings):
    told = config(sink.url, **settings)
    async with client_for(told) as client:
        destination = told.build("mine", client)
        return [await destination.send(destination.encode(parcels, BATCH)) for parcels in batches]


async def test_complies():
    with Sink(Reply(202)) as sink:
        await assert_complies(config(sink.url), sink, valid=lambda payload: is_request(payload.body))


async def test_spans_arrive_with_the_same_ids_each_time():
    server = Simulator(STARTED_AT)
    with Sink(server) as sink:
        receipts = await sent(sink, many(3), many(3))
    assert [receipt.status for receipt in receipts] == [202, 202]
    assert server.spans[:3] == server.spans[3:]
    assert [span["span_id"] for span in server.spans[:3]] == [one.span.span_id for one in many(3)]


async def test_what_is_older_than_a_day_is_refused_there_and_not_sent_by_us():
    with Sink(Simulator(STARTED_AT + DAY + 1)) as sink, pytest.raises(Rejected, match="too old"):
        await sent(sink, [parcel()])
    assert 23 * 3600 < config().limits().max_age < 24 * 3600


async def test_too_much_and_a_wrong_key():
    content = replace(fixture_content(), input={"messages": [{"role": "user", "content": "x" * MOST_BYTES}]})
    with Sink(Simulator(STARTED_AT)) as sink:
        with pytest.raises(TooLarge):
            await sent(sink, [parcel(fixture_span(), content)])
        with pytest.raises(Misconfigured):
            await sent(sink, [parcel()], api_key="other-key-0123")
    assert max(config().limits().body_bytes, config().limits().item_bytes) < MOST_BYTES


def test_datadog_shows_our_tokens_and_our_costs():
    metrics = span_of(streamed_variant())["metrics"]
    assert metrics == {
        "input_tokens": 1200,
        "output_tokens": 80,
        "total_tokens": 1280,
        "cache_read_input_tokens": 1024,
        "cache_write_input_tokens": 16,
        "reasoning_output_tokens": 32,
        "input_cost": 0.000111,
        "output_cost": 0.000222,
        "total_cost": 0.000333,
        "time_to_first_token": 0.41,
    }
    assert span_of(error_variant())["metrics"] == {}
    assert span_of(parcel(replace(fixture_span(), cost=0, cost_lines=())))["metrics"]["total_cost"] == 0.0


def test_messages_hold_tools_thoughts_and_pictures():
    meta = span_of(parcel())["meta"]
    system, asked = meta["input"]["messages"]
    assert (system["role"], asked["content"]) == ("system", "Weather in Paris?\nhttps://example.com/p.png")
    thought, answer = meta["output"]["messages"]
    assert thought == {"role": "reasoning", "content": "User wants weather"}
    assert answer["tool_calls"] == [
        {"name": "get_weather", "arguments": {"city": "Paris"}, "tool_id": "call_1", "type": "function"}
    ]
    assert meta["tool_definitions"][0]["name"] == "get_weather"
    content = replace(
        fixture_content(),
        input={
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            ]
        },
    )
    picture, answered = span_of(parcel(fixture_span(), content))["meta"]["input"]["messages"]
    assert picture["image_parts"] == [{"mime_type": "image/png", "content": "iVBORw0KGgo="}]
    assert answered["tool_results"] == [{"name": "", "result": "sunny", "tool_id": "call_1", "type": "function"}]


@pytest.mark.parametrize(
    ("changes", "kind", "side"),
    [
        ({}, "llm", "messages"),
        ({"operation": "embeddings"}, "embedding", "documents"),
        ({"operation": "files", "usage": None, "cost": None}, "task", "value"),
    ],
)
def test_each_kind_has_its_own_form(changes, kind, side):
    meta = span_of(parcel(replace(fixture_span(), **changes), fixture_content()))["meta"]
    assert meta["kind"] == kind
    assert set(meta["input"]) == {side}
    is_meta(meta)


def test_a_parent_that_datadog_never_saw_makes_no_orphan():
    span = span_of(parcel(replace(fixture_span(), parent_span_id="00f067aa0ba902b7")))
    assert span["parent_id"] == "undefined"
    assert "parent_span_id:00f067aa0ba902b7" in span["tags"]
    assert (span["session_id"], span["trace_id"]) == ("sess-1", fixture_span().trace_id)
    assert f"gateway_request_id:{CALL_ID}" in span["tags"]


def test_an_error_says_what_it_was():
    span = span_of(error_variant())
    assert span["status"] == "error"
    assert span["meta"]["error"] == {"type": "rate_limit_exceeded", "message": "429 rate limited", "stack": ""}


def test_bears_anything():
    destination = config().build("mine", None)
    for odd in hostile():
        is_request(destination.encode([odd], BATCH).body)


def test_the_address_is_that_of_the_site():
    assert DatadogConfig(api_key=KEY, site="datadoghq.eu").build("mine", None)._url == (
        "https://api.datadoghq.eu/api/intake/llm-obs/v1/trace/spans"
    )


@pytest.mark.parametrize(
    "settings",
    [{"ml_app": "My App"}, {"ml_app": "a" * 194}, {"ml_app": ""}, {"ml_app": "a__b"}, {"ml_app": "a_"}, {"site": "ddog-gov.com"}],
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ValidationError):
        config(**settings)


@pytest.mark.parametrize(
    ("variant", "one"),
    [("full", parcel()), ("error", error_variant()), ("streamed", streamed_variant()), ("bare", bare_variant())],
)
def test_golden(variant, one):
    body = config().build("mine", None).encode([one], BATCH).body
    golden(f"datadog/{variant}.json", json.dumps(json.loads(body), indent=1, sort_keys=True).encode() + b"\n")

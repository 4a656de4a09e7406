import json
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest

from destinations.client import client_for
from destinations.posthog import PostHogConfig, event_of
from domain.destinations import Misconfigured
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import (
    BATCH,
    bare_variant,
    error_variant,
    fixture_content,
    fixture_span,
    many,
    parcel,
    streamed_variant,
)
from tests.destinations.golden import golden
from tests.destinations.sink import Reply, Sink

KEY = "phc_" + "0123456789abcdef"


class Simulator:
    """PostHog's capture and its costs: `$ai_total_cost_usd` is kept where it is passed through, else it is computed."""

    def __init__(self, *, limited=False):
        self.events = {}
        self._limited = limited

    def __call__(self, got):
        told = json.loads(got.body)
        if told.get("api_key") != KEY:
            return Reply(401, b'{"type":"authentication_error"}')
        for event in told["batch"]:
            assert set(event) == {"event", "uuid", "distinct_id", "timestamp", "properties"}
            assert 0 < len(event["distinct_id"]) <= 200
            assert datetime.fromisoformat(event["timestamp"]).tzinfo
            assert len(json.dumps(event)) <= 1_000_000
            self.events[UUID(event["uuid"])] = event["properties"]
        return Reply(200, b'{"status":"Ok","quota_limited":["events"]}' if self._limited else b'{"status":"Ok"}')

    def shown(self, id_):
        """Return input tokens without cached ones, cached ones, and the cost, as PostHog's ingestion works them out."""
        told = self.events[UUID(id_)]
        cached = told["$ai_cache_read_input_tokens"] + told["$ai_cache_creation_input_tokens"]
        exclusive = told.get("$ai_cache_reporting_exclusive", told["$ai_provider"] == "anthropic")
        passed = told["$ai_cost_passthrough"] is True and isinstance(told["$ai_total_cost_usd"], float)
        return (
            told["$ai_input_tokens"] - (0 if exclusive else cached),
            cached,
            told["$ai_total_cost_usd"] if passed else "computed",
        )


def without_key(body):
    told = json.loads(body)
    assert told.pop("api_key") == KEY
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()


def config(url="https://posthog.test"):
    return PostHogConfig(api_key=KEY, url=url, allow_private=True)


async def sent(sink, *batches):
    told = config(sink.url)
    async with client_for(told) as client:
        destination = told.build("mine", client)
        return [await destination.send(destination.encode(parcels, BATCH)) for parcels in batches]


async def test_complies():
    with Sink(Reply(200, b'{"status":"Ok"}')) as sink:
        await assert_complies(config(sink.url), sink, unsealed=without_key)


async def test_each_call_is_one_event_however_often_it_is_sent():
    server = Simulator()
    with Sink(server) as sink:
        await sent(sink, many(3), many(3)[1:])
    assert sorted(server.events) == sorted(UUID(one.span.id) for one in many(3))
    assert {got.headers["content-encoding"] for got in sink.got} == {"gzip"}


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
async def test_posthog_shows_our_tokens_and_our_cost_whoever_the_provider_is(upstream):
    server = Simulator()
    one = parcel(replace(fixture_span(), upstream=upstream), fixture_content())
    one.server = None
    with Sink(server) as sink:
        await sent(sink, [one])
    assert server.shown(one.span.id) == (160, 1040, 0.000333)
    told = server.events[UUID(one.span.id)]
    assert (told["$ai_output_tokens"], told["$ai_reasoning_tokens"]) == (80, 32)
    assert (told["$ai_input_cost_usd"], told["$ai_output_cost_usd"]) == (0.000111, 0.000222)


def test_a_call_that_was_free_is_free_there_and_one_without_a_price_is_not():
    free = event_of(parcel(replace(fixture_span(), cost=0, cost_lines=())))["properties"]
    assert (free["$ai_total_cost_usd"], free["$ai_cost_passthrough"]) == (0.0, True)
    unknown = event_of(parcel(replace(fixture_span(), cost=None)))["properties"]
    assert "$ai_cost_passthrough" not in unknown


def test_no_request_holds_an_event_that_posthog_would_drop():
    assert config().limits().body_bytes < 1_000_000


async def test_a_quota_that_is_used_up_is_not_taken_for_success():
    with Sink(Simulator(limited=True)) as sink:
        with pytest.raises(Misconfigured, match="quota_limited"):
            await sent(sink, [parcel()])
        sink.script(Reply(200, b'{"status":"Ok","quota_limited":[]}'), Reply(200, b"quota_limited"))
        assert len(await sent(sink, [parcel()], [parcel()])) == 2


def test_a_call_of_nobody_makes_no_person():
    labels = fixture_span().labels
    nobody = event_of(parcel(replace(fixture_span(), labels=replace(labels, user=None, customer=None))))
    assert nobody["distinct_id"] == fixture_span().trace_id
    assert nobody["properties"]["$process_person_profile"] is False
    assert event_of(parcel(replace(fixture_span(), labels=replace(labels, user=None))))["distinct_id"] == "cust-1"
    assert "$process_person_profile" not in event_of(parcel())["properties"]


def test_a_call_is_at_the_top_of_its_trace_and_in_its_session():
    told = event_of(parcel(replace(fixture_span(), parent_span_id="00f067aa0ba902b7")))["properties"]
    assert told["$ai_parent_id"] == told["$ai_trace_id"] == fixture_span().trace_id
    assert told["parent_span_id"] == "00f067aa0ba902b7"
    assert told["$ai_session_id"] == "sess-1"


def test_an_error_is_one():
    told = event_of(error_variant())["properties"]
    assert (told["$ai_is_error"], told["$ai_error"], told["$ai_http_status"]) == (True, "rate_limit_error: 429 rate limited", 429)
    assert event_of(parcel())["properties"]["$ai_is_error"] is False


def test_no_tag_and_no_rule_can_change_what_was_counted():
    one = parcel()
    one.span.labels = replace(one.span.labels, tags={"$ai_total_cost_usd": "9"})
    one.extra = {"$ai_input_tokens": 1, "team": "ours"}
    told = event_of(one)["properties"]
    assert (told["$ai_total_cost_usd"], told["$ai_input_tokens"], told["team"]) == (0.000333, 1200, "ours")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "$ai_generation"),
        ({"operation": "embeddings"}, "$ai_embedding"),
        ({"operation": "files", "usage": None, "cost": None}, "$ai_span"),
    ],
)
def test_events_have_names(changes, name):
    assert event_of(parcel(replace(fixture_span(), **changes)))["event"] == name


@pytest.mark.parametrize(
    ("variant", "one"),
    [("full", parcel()), ("error", error_variant()), ("streamed", streamed_variant()), ("bare", bare_variant())],
)
def test_golden(variant, one):
    body = config().build("mine", None).encode([one], BATCH).body
    golden(f"posthog/{variant}.json", json.dumps(json.loads(body), indent=1, sort_keys=True).encode() + b"\n")

import json
from dataclasses import replace

import pytest

from destinations.client import client_for
from destinations.counts import plain_input_tokens
from destinations.http import Answer
from destinations.langwatch import LangWatchConfig, judged, metrics_of
from domain.calls import Usage
from domain.destinations import Misconfigured, Receipt, TooLarge
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, STARTED_AT, fixture_span, many, parcel, streamed_variant
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import readable
from tests.destinations.presets import KEY, config, told
from tests.destinations.simulators.platforms import DAY, LangWatch
from tests.destinations.simulators.shown import by_langwatch
from tests.destinations.sink import Reply, Sink
from tests.destinations.variants import VARIANTS

ANSWER = Reply(200, b'{"message":"Trace received","partialSuccess":{"rejectedSpans":0,"errorMessage":""}}')


async def test_complies():
    with Sink(ANSWER) as sink:
        await assert_complies(config("langwatch", sink.url), sink)
        got = sink.last
        assert got.path == "/api/otel/v1/traces"
        assert (got.headers["authorization"], got.headers["x-auth-token"]) == (f"Bearer {KEY}", KEY)
        assert got.headers["x-project-id"] == "project_1"


@pytest.mark.parametrize("name", ["full", "error", "streamed"])
def test_a_payload_is_as_its_golden_file(name):
    golden(f"langwatch/{name}.json", readable(config("langwatch").build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_cached_tokens_are_not_counted_twice():
    _, found = told(config("langwatch"), parcel())
    assert found["gen_ai.usage.input_tokens"] == 160
    assert found["langwatch.span.cost"] == 0.000333
    # where the price is unknown it prices the call itself: what it adds up is then what there was
    _, unknown = told(config("langwatch"), parcel(replace(fixture_span(), cost=None, cost_lines=(), cost_status="unknown"), None))
    assert "langwatch.span.cost" not in unknown
    assert by_langwatch(unknown).cost == 1200


def test_who_it_was_for_and_when():
    _, found = told(config("langwatch"), streamed_variant())
    names = ("thread", "user", "customer")
    assert [found[f"langwatch.{name}.id"] for name in names] == ["sess-1", "user-1", "cust-1"]
    assert json.loads(found["langwatch.labels"]) == ["prod", "gw"]
    assert json.loads(found["metadata"])["team"] == "search"
    assert json.loads(found["langwatch.timestamps"]) == {
        "started_at": 1795215600000,
        "first_token_at": 1795215600410,
        "finished_at": 1795215601234,
    }
    assert json.loads(found["langwatch.metrics"]) == {
        "prompt_tokens": 160,
        "completion_tokens": 80,
        "reasoning_tokens": 32,
        "cache_read_input_tokens": 1024,
        "cache_creation_input_tokens": 16,
        "cost": 0.000333,
        "first_token_ms": 410,
    }


@pytest.mark.parametrize(
    ("usage", "plain"),
    [(Usage(), None), (Usage(input_tokens=5), 5), (Usage(input_tokens=5, cache_read_tokens=9), 0)],
)
def test_plain_input_tokens(usage, plain):
    assert plain_input_tokens(usage) == plain


def test_what_is_unknown_is_no_metric():
    assert metrics_of(replace(fixture_span(), usage=None, cost=None)) == {}


async def send(langwatch, parcels, **more):
    with Sink(langwatch) as sink:
        settings = config("langwatch", sink.url, **more)
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            return await destination.send(destination.encode(parcels, BATCH))


async def test_spans_that_it_does_not_take_are_counted():
    young, old = parcel(), parcel(replace(fixture_span(), started_at=STARTED_AT - 40 * DAY, span_id="00f067aa0ba902b7"), None)
    langwatch = LangWatch(now=STARTED_AT + DAY, wants={"x-project-id": "project_1"})
    assert await send(langwatch, [young, old]) == Receipt(200, refused=1, note="spans older than 31 days")
    assert len(langwatch.kept) == 1
    # and calls that old are not sent in the first place
    assert config("langwatch").limits().max_age < 31 * 86_400


async def test_sent_twice_it_is_there_once():
    langwatch = LangWatch()
    for _ in range(2):
        await send(langwatch, many(3))
    assert len(langwatch.kept) == 3


async def test_a_plan_that_is_used_up_waits_for_somebody():
    with pytest.raises(Misconfigured, match="quota"):
        await send(LangWatch(used_up=True), [parcel()])


async def test_too_many_spans_at_once_are_split():
    with pytest.raises(TooLarge):
        await send(LangWatch(most=2), many(3))
    assert judged(Answer(429, {}, b'{"message":"Too many requests"}')) is None


def test_a_key_of_one_project_needs_no_id():
    settings = LangWatchConfig.model_validate({"api_key": KEY})
    assert settings.preset().url == "https://app.langwatch.ai/api/otel/v1/traces"
    assert "x-project-id" not in settings.preset().headers

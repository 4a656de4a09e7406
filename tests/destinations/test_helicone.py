import json
from dataclasses import replace
from uuid import UUID

import pytest
from pydantic import ValidationError

from destinations.client import client_for
from destinations.helicone import HeliconeConfig, log_of, meta_of
from domain.calls import Usage
from domain.destinations import DeliveryFailed, Misconfigured, TooLarge, Unavailable
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import (
    BATCH,
    CALL_ID,
    RESPONSE,
    bare_variant,
    error_variant,
    fixture_content,
    fixture_span,
    hostile,
    parcel,
    streamed_variant,
)
from tests.destinations.golden import golden
from tests.destinations.sink import Reply, Sink

KEY = "sk-helicone-" + "0123456789abcdef"
MOST_BYTES = 10 * 1024 * 1024


class Simulator:
    """Helicone's log API: answers in text, says errors with 200, and 400 for what is too large."""

    def __init__(self):
        self.requests = {}

    def __call__(self, got):
        if got.headers.get("authorization") != f"Bearer {KEY}":
            return Reply(401, b'{"error":"Unauthorized"}')
        if len(got.body) > MOST_BYTES:
            return Reply(400, b'{"error":"Payload too large"}')
        log = json.loads(got.body)
        assert set(log) == {"providerRequest", "providerResponse", "timing"}
        meta = log["providerRequest"]["meta"]
        assert all(got.headers[name.lower()] == value for name, value in meta.items() if name != "Helicone-Provider")
        assert got.path == ("/custom/v1/log" if log["providerRequest"]["url"] == "custom-model-nopath" else "/oai/v1/log")
        if log["providerRequest"]["json"]["model"] is None:
            return Reply(200, b'{"error":"invalid model"}')
        self.requests[meta["Helicone-Request-Id"]] = log
        return Reply(200, b"ok", "text/plain", {"helicone-id": meta["Helicone-Request-Id"]})


def config(url="https://helicone.test"):
    return HeliconeConfig(api_key=KEY, url=url, allow_private=True)


async def sent(sink, *parcels):
    told = config(sink.url)
    async with client_for(told) as client:
        destination = told.build("mine", client)
        return [await destination.send(destination.encode([one], BATCH)) for one in parcels]


async def test_complies():
    with Sink(Reply(200, b"ok", "text/plain")) as sink:
        await assert_complies(config(sink.url), sink)


async def test_each_call_is_one_request_however_often_it_is_sent():
    server = Simulator()
    with Sink(server) as sink:
        await sent(sink, parcel(), parcel(), streamed_variant())
    assert list(server.requests) == [str(UUID(CALL_ID))]
    assert config().limits().items == 1


async def test_an_error_inside_of_a_200_is_one():
    with Sink(Simulator()) as sink, pytest.raises(Unavailable, match="invalid model"):
        await sent(sink, bare_variant())


async def test_too_large_is_told_by_a_400():
    content = replace(fixture_content(), input={"messages": "x" * MOST_BYTES, "model": "m"})
    with Sink(Simulator()) as sink, pytest.raises(TooLarge):
        await sent(sink, parcel(fixture_span(), content))


async def test_a_wrong_key_waits_for_somebody():
    with Sink(Simulator()) as sink:
        told = HeliconeConfig(api_key="other-key", url=sink.url, allow_private=True)
        async with client_for(told) as client:
            destination = told.build("mine", client)
            with pytest.raises(Misconfigured):
                await destination.send(destination.encode([parcel()], BATCH))


@pytest.mark.parametrize("body", [b"ok", b"{", b"{}", b'{"id":"x"}', b'{"error":null}', b"[]", b""])
async def test_any_other_200_is_taken(body):
    with Sink(Reply(200, body)) as sink:
        [receipt] = await sent(sink, parcel())
    assert receipt.status == 200


def test_helicone_reads_the_tokens_that_were_counted():
    usage = log_of(parcel())["providerResponse"]["json"]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (1200, 80)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 1024
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 32
    without = {name: value for name, value in RESPONSE.items() if name != "usage"}
    told = log_of(parcel(fixture_span(), replace(fixture_content(), output=without)))["providerResponse"]["json"]["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (1200, 80, 1280)
    span = replace(fixture_span(), usage=Usage(input_tokens=7))
    assert log_of(parcel(span, None))["providerResponse"]["json"]["usage"]["prompt_tokens"] == 7


def test_a_streamed_answer_is_whole_and_said_not_to_be_streamed():
    log = log_of(streamed_variant())
    assert log["providerRequest"]["json"]["stream"] is False
    assert log["providerResponse"]["json"]["choices"] == RESPONSE["choices"]
    assert log["timing"] == {
        "startTime": {"seconds": 1795215600, "milliseconds": 0},
        "endTime": {"seconds": 1795215601, "milliseconds": 234},
        "timeToFirstToken": 410,
    }


def test_the_model_and_the_status_are_those_of_the_call():
    span = replace(fixture_span(), model="house-model")
    log = log_of(parcel(span, replace(fixture_content(), input={"model": "house-model", "messages": []})))
    assert log["providerRequest"]["json"]["model"] == "house-model"
    assert log_of(error_variant())["providerResponse"]["status"] == 429
    assert log_of(parcel(replace(span, outcome="cancelled")))["providerResponse"]["status"] == -3
    assert log_of(bare_variant())["providerResponse"]["status"] == 503


def test_other_apis_go_to_the_custom_log():
    payload = (
        config().build("mine", None).encode([parcel(replace(fixture_span(), path="/v1/messages"), fixture_content())], BATCH)
    )
    assert payload.name == "custom"
    assert json.loads(payload.body)["providerRequest"]["url"] == "custom-model-nopath"


def test_headers_hold_nothing_but_letters_of_one_line():
    for odd in hostile():
        for name, value in meta_of(odd).items():
            assert name.replace("-", "").replace("_", "").isalnum()
            assert name.isascii()
            assert value.isascii()
            assert value.isprintable()
            assert len(value) <= 256


async def test_hostile_labels_arrive_without_a_header_of_their_own():
    with Sink(Reply(200, b"ok")) as sink:
        for odd in hostile()[-4:]:
            try:
                await sent(sink, odd)
            except DeliveryFailed as failure:
                pytest.fail(failure.message)


def test_more_than_one_call_in_a_request_is_refused():
    with pytest.raises(ValidationError):
        HeliconeConfig(api_key=KEY, batch_items=2)


@pytest.mark.parametrize(
    ("variant", "one"),
    [("full", parcel()), ("error", error_variant()), ("streamed", streamed_variant()), ("bare", bare_variant())],
)
def test_golden(variant, one):
    body = config().build("mine", None).encode([one], BATCH).body
    golden(f"helicone/{variant}.json", json.dumps(json.loads(body), indent=1, sort_keys=True).encode() + b"\n")

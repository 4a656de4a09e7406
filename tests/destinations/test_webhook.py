import hashlib
import hmac
import json
import sys
from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError
from standardwebhooks import Webhook as Receiver
from standardwebhooks.webhooks import WebhookVerificationError

from destinations.client import client_for
from destinations.handshake import ASK_AGAIN, Permission, apart
from destinations.signing import key_of, signed, signer_of
from destinations.webhook import Webhook, WebhookConfig
from domain.destinations import Misconfigured, Unavailable
from domain.spans import usd
from tests.destinations.compliance import EVENT, assert_complies
from tests.destinations.fixture import (
    BATCH,
    CALL_ID,
    QUESTION,
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

SECRET = "whsec_" + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OLD = "whsec_" + b64encode(b"o" * 32).decode()
FORMATS = ("full", "thin", "cloudevents")


SEED = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
PRIVATE = "whsk_" + b64encode(SEED + PUBLIC).decode()


def config(url="https://hooks.test/llm", **settings):
    return WebhookConfig(url=url, secret=settings.pop("secret", SECRET), allow_private=True, **settings)


def hook(**settings):
    return config(**settings).build("mine", None)


@pytest.mark.parametrize("form", [*FORMATS, "otlp_json"])
async def test_complies(form):
    with Sink(Reply(204)) as sink:
        await assert_complies(config(sink.url + "/llm", format=form, headers={"x-token": "tok-" + "abcdef123"}), sink)


def test_signs_as_the_specification_does():
    body = b'{"type":"gateway.request.completed","timestamp":"2026-11-20T23:00:00Z","data":{"id":"req_1"}}'
    headers = signed([signer_of(SECRET)], "evt_0001", 1763679600, body)
    assert headers["webhook-signature"] == "v1,PoxoqUoXU2LXy1XnP9n/gzEAPoukywR1JyBi31qh/O4="


@pytest.mark.parametrize("form", [*FORMATS, "otlp_json"])
async def test_what_arrives_is_accepted_by_the_reference_library_with_any_of_the_secrets(form):
    with Sink(Reply(200)) as sink:
        settings = config(sink.url, secret=(SECRET, OLD), format=form)
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            await destination.send(destination.encode([parcel()], BATCH))
            await destination.send(destination.encode_event(EVENT))
    for got in sink.got:
        for secret in (SECRET, OLD):
            assert Receiver(secret).verify(got.raw, dict(got.headers)) == json.loads(got.raw)
        with pytest.raises(WebhookVerificationError):
            Receiver(SECRET).verify(got.raw.replace(b"a", b"b", 1), dict(got.headers))


async def test_a_retry_has_the_same_id_and_body_and_a_timestamp_and_signature_of_its_own():
    times = iter([1_800_000_000.9, 1_800_090_000.2])
    with Sink(Reply(503)) as sink:
        settings = config(sink.url)
        async with client_for(settings) as client:
            destination = Webhook(
                client, sink.url, [signer_of(SECRET)], headers={}, form="full", limits=settings.limits(), now=lambda: next(times)
            )
            sink.script(Reply(200), Reply(200))
            for _ in range(2):
                await destination.send(destination.encode([parcel()], BATCH))
    first, second = sink.got
    assert (first.headers["webhook-id"], first.raw) == (second.headers["webhook-id"], second.raw)
    assert (first.headers["webhook-timestamp"], second.headers["webhook-timestamp"]) == ("1800000000", "1800090000")
    for got in sink.got:
        said = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.raw
        proof = b64encode(hmac.digest(key_of(SECRET), said, hashlib.sha256)).decode()
        assert got.headers["webhook-signature"] == f"v1,{proof}"


def test_ids_follow_from_the_calls_and_not_from_the_batch():
    one, several = [parcel()], many(3)
    assert hook().encode(one, BATCH).headers["webhook-id"] == f"msg_{CALL_ID}"
    ids = {hook().encode(parts, batch).headers["webhook-id"] for parts in (several, one) for batch in (BATCH, "ab" * 16)}
    assert len(ids) == 2
    assert hook().encode(several[:2], BATCH).headers["webhook-id"] not in ids


def test_an_id_holds_no_dot_whatever_an_event_is_called():
    ids = [hook().encode_event(replace(EVENT, id=id_)).headers["webhook-id"] for id_ in ("a.1", "a", "x" * 500, "é\n")]
    assert len(set(ids)) == 4
    assert all(id_.startswith("evt_") and id_.isascii() and "." not in id_ and len(id_) < 64 for id_ in ids)


def test_a_full_message_holds_the_call_with_exact_cost_and_every_count():
    said = json.loads(hook().encode([parcel()], BATCH).body)
    assert (said["type"], said["timestamp"]) == ("gateway.request.completed", "2026-11-20T23:00:01.234000Z")
    data = said["data"]
    assert data["cost_usd"] == "0.000333" == usd(fixture_span().cost)
    assert {name: data["usage"][name] for name in data["usage"] if name.endswith("_tokens")} == {
        "input_tokens": 1200,
        "cache_read_tokens": 1024,
        "cache_write_tokens": 16,
        "output_tokens": 80,
        "reasoning_tokens": 32,
    }
    assert (data["request"], data["response"]) == (fixture_content().input, fixture_content().output)
    assert "deliveries" not in data


def test_a_thin_message_is_small_and_holds_no_text_of_anyone():
    long = replace(fixture_content(), input={"messages": [{"role": "user", "content": QUESTION * 10_000}]})
    for one in (parcel(fixture_span(), long), error_variant()):
        body = hook(format="thin").encode([one], BATCH).body
        assert len(body) < 4_000
        assert QUESTION.encode() not in body
        assert b"429 rate limited" not in body
        assert json.loads(body)["data"]["link"] == f"/api/v1/calls/{CALL_ID}"


def test_several_calls_are_one_message_with_a_list():
    settings = config(batch_items=100)
    said = json.loads(settings.build("mine", None).encode(many(3), BATCH).body)
    assert said["type"] == "gateway.requests.completed"
    assert [line["id"] for line in said["data"]] == [one.span.id for one in many(3)]
    assert (settings.limits().keeps_batches, settings.limits().flush) == (True, 1.0)
    assert (config().limits().keeps_batches, config().limits().flush) == (False, 0.0)
    assert config(batch_items=2, flush="5s").limits().flush == 5.0


def test_cloud_events_have_what_the_specification_requires():
    one = hook(format="cloudevents").encode([parcel()], BATCH)
    event = json.loads(one.body)
    assert one.content_type == "application/cloudevents+json"
    assert (event["specversion"], event["source"], event["id"]) == ("1.0", "faregate", one.headers["webhook-id"])
    assert datetime.fromisoformat(event["time"]).tzinfo == UTC
    several = hook(format="cloudevents").encode(many(3), BATCH)
    assert several.content_type == "application/cloudevents-batch+json"
    assert [inner["id"] for inner in json.loads(several.body)] == [f"msg_{part.span.id}" for part in many(3)]


def test_rules_add_attributes():
    one = parcel()
    one.extra = {"team": "search"}
    for form in ("full", "thin"):
        assert json.loads(hook(format=form).encode([one], BATCH).body)["data"]["attributes"] == {"team": "search"}


async def test_gone_is_gone():
    with Sink(Reply(410)) as sink:
        settings = config(sink.url)
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            with pytest.raises(Misconfigured) as caught:
                await destination.send(destination.encode([parcel()], BATCH))
    assert caught.value.gone


@pytest.mark.parametrize(
    "settings",
    [
        {"secret": "s3cret"},
        {"secret": "whsec_" + b64encode(b"short").decode()},
        {"secret": "whsec_not base64!"},
        {"secret": "whsk_" + b64encode(b"k" * 31).decode()},
        {"secret": "whsk_" + b64encode(b"k" * 33).decode()},
        {"secret": "whsk_not base64!"},
        {"secret": b64encode(b"k" * 32).decode()},
        {"origin": ""},
        {"origin": "https://gateway.example.com"},
        {"origin": "a.test\r\nx: y"},
        {"origin": "*"},
        {"secret": ()},
        {"url": "ftp://hooks.test"},
        {"url": "https://user:pass@hooks.test"},
        {"url": "https://hooks.test/a b"},
        {"batch_items": 101},
        {"headers": {"webhook-id": "x"}},
        {"headers": {"x-a": "b\r\nx-c: d"}},
        {"headers": {"x a": "b"}},
    ],
)
def test_settings_that_cannot_work_are_refused_without_repeating_a_secret(settings):
    with pytest.raises(ValidationError) as caught:
        config(**settings)
    assert str(settings.get("secret") or "nothing") not in str(caught.value)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("variant", "one"),
    [("full", parcel()), ("error", error_variant()), ("streamed", streamed_variant()), ("bare", bare_variant())],
)
def test_golden(form, variant, one):
    body = hook(format=form).encode([one], BATCH).body
    golden(f"webhook/{form}-{variant}.json", json.dumps(json.loads(body), indent=1, sort_keys=True).encode() + b"\n")


@pytest.mark.parametrize("form", ["full", "cloudevents"])
def test_golden_event(form):
    body = hook(format=form).encode_event(EVENT).body
    golden(f"webhook/{form}-event.json", json.dumps(json.loads(body), indent=1, sort_keys=True).encode() + b"\n")


# Private keys (ed25519)


def test_a_private_key_signs_as_rfc_8032_says():
    """The second vector of its section 7.1: one byte, 0x72."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert signer_of("whsk_" + b64encode(seed).decode())(b"\x72") == f"v1a,{b64encode(signature).decode()}"


@pytest.mark.parametrize("secret", [PRIVATE, "whsk_" + b64encode(SEED).decode(), "whsk_" + b64encode(SEED).decode().rstrip("=")])
async def test_what_arrives_can_be_checked_with_the_public_key(secret):
    with Sink(Reply(200)) as sink:
        settings = config(sink.url, secret=(secret, SECRET))
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            await destination.send(destination.encode([parcel()], BATCH))
    headers, body = sink.last.headers, sink.last.raw
    private, shared = headers["webhook-signature"].split(" ")
    version, _, signature = private.partition(",")
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()
    assert version == "v1a"
    key = Ed25519PublicKey.from_public_bytes(PUBLIC)
    key.verify(b64decode(signature), said + body)
    with pytest.raises(InvalidSignature):
        key.verify(b64decode(signature), said + body + b" ")
    assert shared.startswith("v1,")
    assert Receiver(SECRET).verify(body, dict(headers)) == json.loads(body), (
        "the reference library passes by versions it does not know"
    )


async def test_a_destination_with_a_private_key_complies():
    with Sink(Reply(204)) as sink:
        await assert_complies(config(sink.url, secret=PRIVATE), sink)


def test_a_private_key_whose_halves_do_not_belong_together_says_so():
    wrong = "whsk_" + b64encode(SEED + PUBLIC[::-1]).decode()
    with pytest.raises(Misconfigured, match="do not belong together") as caught:
        hook(secret=wrong)
    assert wrong not in caught.value.message


def test_private_keys_need_a_package_and_shared_secrets_do_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ValidationError, match=r"pip install 'faregate\[signing\]'"):
        config(secret=PRIVATE)
    assert hook(secret=SECRET)


# Asking first, as CloudEvents' webhooks do

ORIGIN = "gateway.example.com"


def allowing(rate="*", origin=ORIGIN):
    """Return a receiver that allows messages of an origin, so many a minute."""
    told = {"webhook-allowed-origin": origin, "webhook-allowed-rate": rate, "allow": "POST"}
    return lambda got: Reply(200, headers=told if got.method == "OPTIONS" else {})


class Asking:
    """A webhook with an origin, in a time of its own."""

    def __init__(self, client, sink, **settings):
        self.at = 1_000.0
        told = config(sink.url, **settings)
        headers = {name: value.get_secret_value() for name, value in told.headers.items()}
        permission = Permission(client, sink.url, headers, origin=ORIGIN, now=lambda: self.at)
        self._hook = Webhook(
            client,
            sink.url,
            [signer_of(SECRET)],
            headers=headers,
            form="cloudevents",
            limits=told.limits(),
            permission=permission,
        )

    async def send(self):
        return await self._hook.send(self._hook.encode([parcel()], BATCH))


@pytest.fixture
async def client():
    async with client_for(config()) as found:
        yield found


async def test_a_destination_that_asks_first_complies():
    with Sink(allowing()) as sink:
        await assert_complies(config(sink.url, origin=ORIGIN, format="cloudevents"), sink)


@pytest.mark.parametrize("origin", [ORIGIN, "*", ORIGIN.upper(), f" {ORIGIN} "])
async def test_a_receiver_is_asked_once_before_the_first_message(client, origin):
    with Sink(allowing(origin=origin)) as sink:
        hook = Asking(client, sink, headers={"authorization": "Bearer x"})
        for _ in range(3):
            await hook.send()
        assert [got.method for got in sink.got] == ["OPTIONS", "POST", "POST", "POST"]
        assert {got.headers["webhook-request-origin"] for got in sink.got} == {ORIGIN}
        assert {got.headers["authorization"] for got in sink.got} == {"Bearer x"}
        assert sink.got[0].body == b""
        assert "webhook-signature" not in sink.got[0].headers
        hook.at += ASK_AGAIN
        await hook.send()
        assert [got.method for got in sink.got][4:] == ["OPTIONS", "POST"]


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Reply(200), Misconfigured),
        (Reply(204, headers={"webhook-allowed-origin": "other.example.com"}), Misconfigured),
        (Reply(200, headers={"webhook-allowed-origin": "x.gateway.example.com"}), Misconfigured),
        (Reply(200, headers={"webhook-allowed-rate": "100"}), Misconfigured),
        (Reply(405), Misconfigured),
        (Reply(404), Misconfigured),
        (Reply(410), Misconfigured),
        (Reply(302, headers={"location": "/x"}), Misconfigured),
        (Reply(503, headers={"retry-after": "7"}), Unavailable),
        (Reply(429), Unavailable),
        (Reply(reset=True), Unavailable),
    ],
)
async def test_without_permission_nothing_is_sent(client, reply, failure):
    with Sink(reply) as sink:
        hook = Asking(client, sink)
        for _ in range(2):  # it is asked anew each time, until it allows
            with pytest.raises(failure) as caught:
                await hook.send()
        assert {got.method for got in sink.got} == {"OPTIONS"}
        if failure is Misconfigured:
            assert "origin" in caught.value.message
            assert caught.value.gone is (reply.status == 410)
        if reply.status == 503:
            assert caught.value.retry_after == 7
        sink.answering = allowing()
        assert (await hook.send()).status == 200


async def test_what_is_allowed_a_minute_is_not_passed(client):
    with Sink(allowing(rate="120")) as sink:
        hook = Asking(client, sink)
        sent, refused = 0, []
        for _ in range(300):  # a minute, asked five times a second
            try:
                await hook.send()
                sent += 1
            except Unavailable as error:
                refused.append(error)
            hook.at += 0.2
        assert all(error.throttled and 0 < error.retry_after <= 0.5 for error in refused)
        assert 90 <= sent <= 120
        assert len([got for got in sink.got if got.method == "POST"]) == sent


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [("*", 0), ("", 0), ("60", 1), (" 120 ", 0.5), ("1", 60), ("0", 0), ("-1", 0), ("1.5", 0), ("9" * 5_000, 0), ("\u0663", 0)],
)
def test_a_rate_that_is_none_is_no_limit(rate, seconds):
    assert apart(rate) == seconds

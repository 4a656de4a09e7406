"""The suite that every destination passes must be one that a bad destination fails."""

import itertools
import json
from dataclasses import replace
from typing import ClassVar, Literal

import pytest
from pydantic import Field, SecretStr

from destinations.base import DestinationConfig
from destinations.http import post
from destinations.urls import Url
from domain.destinations import Limits, Payload, Receipt, Rejected
from tests.destinations import compliance
from tests.destinations.compliance import assert_complies
from tests.destinations.sink import Reply, Sink

CANARY = "canary-" + "0123456789"


class PlainConfig(DestinationConfig):
    """Send a plain line for each call."""

    type: Literal["plain"] = "plain"
    url: Url = Field(description="Where it is.")
    secret: SecretStr = Field(SecretStr(CANARY), description="A secret.")
    flaw: str = Field("", description="What is wrong with it.")

    FLAWS: ClassVar[dict] = {}

    def build(self, _name, client):
        return self.FLAWS.get(self.flaw, Plain)(self, client)


class Plain:
    """A destination as it should be."""

    def __init__(self, config, client):
        self.config = config
        self.limits = config.limits()
        self.client = client

    def lines(self, parcels):
        return [{"id": parcel.span.id} for parcel in parcels]

    def encode(self, parcels, batch):
        assert len(batch) == 32
        body = json.dumps(self.lines(parcels)).encode()
        return Payload(body, "application/json", tuple(parcel.span.id for parcel in parcels))

    async def send(self, payload):
        headers = {"authorization": self.config.secret.get_secret_value()}
        answer = await post(self.client, self.config.url, body=payload.body, headers=headers, content_type=payload.content_type)
        return Receipt(answer.status)


class Varies(Plain):
    counter = itertools.count()

    def lines(self, parcels):
        return [*super().lines(parcels), next(self.counter)]


class TellsItsSecret(Plain):
    def lines(self, parcels):
        return [*super().lines(parcels), self.config.secret.get_secret_value()]


class TellsPrompts(Plain):
    def lines(self, parcels):
        return [*super().lines(parcels), "Weather in Paris?"]


class HasNoIds(Plain):
    def lines(self, parcels):
        return [{"model": "x"} for _ in parcels]


class BreaksOnOddities(Plain):
    def lines(self, parcels):
        return [{"id": parcel.span.id, "model": (parcel.span.model or "").encode().decode()} for parcel in parcels]


class WritesNoJson(Plain):
    def encode(self, parcels, batch):
        payload = super().encode(parcels, batch)
        return replace(payload, body=payload.body[:-1])


class ForgetsCalls(Plain):
    def encode(self, parcels, batch):
        return replace(super().encode(parcels, batch), calls=())


class HasNoLimits(Plain):
    def __init__(self, config, client):
        super().__init__(config, client)
        self.limits = Limits(items=0)


class TakesEverything(Plain):
    async def send(self, payload):
        try:
            return await super().send(payload)
        except Rejected:
            return Receipt(200)


class AsksTwice(Plain):
    async def send(self, payload):
        try:
            return await super().send(payload)
        except Rejected:
            return await super().send(payload)


class RepeatsTheAnswer(Plain):
    async def send(self, payload):
        try:
            return await super().send(payload)
        except Rejected as failure:
            raise Rejected(failure.message + CANARY, status=failure.status) from failure


class Talks(Plain):
    def __init__(self, config, client):
        super().__init__(config, client)
        import urllib.request  # noqa: PLC0415 - for this flaw alone

        urllib.request.urlopen(config.url, data=b"hello").read()


FLAWS = (
    *(Varies, TellsItsSecret, TellsPrompts, HasNoIds, BreaksOnOddities, WritesNoJson, ForgetsCalls, HasNoLimits),
    *(TakesEverything, AsksTwice, RepeatsTheAnswer, Talks),
)
PlainConfig.FLAWS.update({flaw.__name__: flaw for flaw in FLAWS})


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Return the page of the plain kind, which counts as a known one for this test."""
    monkeypatch.setattr(compliance, "config_class", lambda _: PlainConfig)
    file = tmp_path / "plain.md"
    file.write_text('type = "plain"\n`url` `secret` `flaw`')
    return file


async def test_a_good_one_complies(page):
    with Sink(Reply(200)) as sink:
        await assert_complies(PlainConfig(url=sink.url, allow_private=True), sink, page=page)


@pytest.mark.parametrize("flaw", [flaw.__name__ for flaw in FLAWS])
async def test_a_flaw_is_found(flaw, page):
    with Sink(Reply(200)) as sink, pytest.raises((AssertionError, ValueError)):
        await assert_complies(PlainConfig(url=sink.url, allow_private=True, flaw=flaw), sink, page=page)


async def test_an_option_that_the_page_does_not_name_is_found(page):
    page.write_text('type = "plain"\n`url` `secret`')
    with Sink(Reply(200)) as sink, pytest.raises(AssertionError, match="flaw"):
        await assert_complies(PlainConfig(url=sink.url, allow_private=True), sink, page=page)


async def test_another_view_of_a_status_must_be_told(page):
    with Sink(Reply(200)) as sink, pytest.raises(AssertionError, match="HTTP 409"):
        await assert_complies(PlainConfig(url=sink.url, allow_private=True), sink, page=page, outcomes={409: None})

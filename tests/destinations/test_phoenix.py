from dataclasses import replace

import pytest

from destinations.client import client_for
from destinations.otlp import OtlpConfig
from destinations.phoenix import PhoenixConfig
from domain.destinations import Misconfigured, Payload, Rejected, Unavailable
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, SPAN_ID, TRACE_ID, fixture_span, parcel
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import readable
from tests.destinations.presets import KEY, config
from tests.destinations.simulators.platforms import Phoenix
from tests.destinations.simulators.receiver import PROTOBUF, taken
from tests.destinations.sink import Sink
from tests.destinations.variants import VARIANTS


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("phoenix", sink.url), sink)
        assert sink.last.path == "/v1/traces"
        assert sink.last.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("name", ["full", "error", "streamed"])
def test_a_payload_is_as_its_golden_file(name):
    golden(f"phoenix/{name}.json", readable(config("phoenix").build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_without_a_key_none_is_sent():
    assert PhoenixConfig(url="http://127.0.0.1:6006", allow_private=True).preset().headers == {}


async def send(phoenix, *parcels, **more):
    with Sink(phoenix) as sink:
        settings = config("phoenix", sink.url, **more)
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            return await destination.send(destination.encode(parcels, BATCH))


async def test_what_comes_twice_is_kept_once_in_the_project_of_the_first():
    phoenix = Phoenix(wants={"authorization": f"Bearer {KEY}"})
    await send(phoenix, parcel())
    await send(phoenix, parcel(), parcel(replace(fixture_span(), span_id="00f067aa0ba902b7"), None), project="other")
    assert list(phoenix.kept) == [(TRACE_ID, SPAN_ID), (TRACE_ID, "00f067aa0ba902b7")]
    assert phoenix.projects == {TRACE_ID: "shop"}


@pytest.mark.parametrize(("status", "failure"), [(503, Unavailable), (507, Misconfigured)])
async def test_a_full_queue_is_waited_for_and_a_full_disk_stops(status, failure):
    with pytest.raises(failure):
        await send(Phoenix(full=status), parcel())


async def test_json_is_not_taken_and_garbage_is_rejected():
    with Sink(Phoenix()) as sink:
        settings = OtlpConfig(url=sink.url, allow_private=True, encoding="json")
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            with pytest.raises(Misconfigured, match="encoding"):
                await destination.send(destination.encode([parcel()], BATCH))
            with pytest.raises(Rejected):
                await destination.send(Payload(b"\xff\xff", PROTOBUF, ()))


async def test_an_unknown_key_is_misconfigured():
    with pytest.raises(Misconfigured, match="credentials"):
        await send(Phoenix(wants={"authorization": "Bearer other"}), parcel())

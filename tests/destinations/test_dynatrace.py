import pytest

from destinations.client import client_for
from destinations.dynatrace import DynatraceConfig
from destinations.otlp import OtlpConfig
from domain.destinations import Misconfigured, TooLarge
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, ENDED_AT, parcel
from tests.destinations.presets import KEY, config
from tests.destinations.simulators.platforms import Dynatrace
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink

PATH = "/api/v2/otlp/v1/traces"
HOUR = 3_600 * 10**9


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("dynatrace", sink.url), sink)
        assert sink.last.path == PATH
        assert sink.last.headers["authorization"] == f"Api-Token {KEY}"


async def send(dynatrace, *, json=False):
    with Sink(dynatrace) as sink:
        settings = config("dynatrace", sink.url)
        if json:
            settings = OtlpConfig(url=sink.url + PATH, allow_private=True, encoding="json")
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            return await destination.send(destination.encode([parcel()], BATCH))


async def test_what_ended_more_than_an_hour_ago_is_lost_there_so_it_is_not_sent():
    young, old = Dynatrace(now=ENDED_AT + HOUR), Dynatrace(now=ENDED_AT + HOUR + 1)
    assert [(await send(one)).refused for one in (young, old)] == [0, 0]
    assert (len(young.kept), len(old.kept)) == (1, 0)
    # counted from a call's beginning, so that none is sent that would be lost
    assert config("dynatrace").limits().max_age < 3_600


async def test_json_and_large_requests_are_not_taken():
    with pytest.raises(Misconfigured, match="415"):
        await send(Dynatrace(), json=True)
    with pytest.raises(TooLarge):
        await send(Dynatrace(largest=1_000))
    assert config("dynatrace").limits().item_bytes <= 8_000_000


@pytest.mark.parametrize(
    ("url", "full"),
    [
        ("https://abc12345.live.dynatrace.com", f"https://abc12345.live.dynatrace.com{PATH}"),
        ("https://abc12345.live.dynatrace.com/api/v2/otlp/", f"https://abc12345.live.dynatrace.com{PATH}"),
        ("https://gate.test:9999/e/abc12345", f"https://gate.test:9999/e/abc12345{PATH}"),
    ],
)
def test_where_it_is(url, full):
    assert DynatraceConfig.model_validate({"url": url, "token": KEY}).preset().url == full

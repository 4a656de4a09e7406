import base64

import pytest
from pydantic import ValidationError

from destinations.grafana import GrafanaConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.presets import KEY, config
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink

GATEWAY = "https://otlp-gateway-prod-us-west-0.grafana.net"


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("grafana", sink.url), sink)
        assert sink.last.path == "/otlp/v1/traces"
        assert base64.b64decode(sink.last.headers["authorization"].removeprefix("Basic ")).decode() == f"123456:{KEY}"


@pytest.mark.parametrize("url", [GATEWAY, GATEWAY + "/otlp", GATEWAY + "/otlp/", GATEWAY + "/otlp/v1/traces"])
def test_where_it_is(url):
    settings = GrafanaConfig.model_validate({"url": url, "instance_id": "1", "token": KEY})
    assert settings.preset().url == f"{GATEWAY}/otlp/v1/traces"


def test_an_instance_is_a_number():
    with pytest.raises(ValidationError):
        GrafanaConfig.model_validate({"url": GATEWAY, "instance_id": "acme", "token": KEY})

import base64
import json

import pytest

from destinations.weave import WeaveConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, parcel
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import attributes, readable, request_in
from tests.destinations.presets import KEY, config, told
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink
from tests.destinations.variants import VARIANTS


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("weave", sink.url), sink)
        headers = sink.last.headers
        assert sink.last.path == "/otel/v1/traces"
        assert base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode() == f"api:{KEY}"
        assert headers["project_id"] == "team/shop"


@pytest.mark.parametrize("name", ["full", "error", "streamed"])
def test_a_payload_is_as_its_golden_file(name):
    golden(f"weave/{name}.json", readable(config("weave").build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_tokens_are_told_by_one_of_their_names_only():
    """Weave adds up what it finds under both."""
    _, found = told(config("weave"), parcel())
    names = [name for name in found if name.endswith(("input_tokens", "prompt_tokens", "token_count.prompt"))]
    assert [name for name in names if ".cache_" not in name] == ["gen_ai.usage.input_tokens"]


def test_a_thread_a_name_and_the_rest():
    _, found = told(config("weave"), parcel())
    assert (found["wandb.thread_id"], found["wandb.is_turn"]) == ("sess-1", True)
    assert found["wandb.display_name"] == "agent:researcher"
    assert found["weave.span.kind"] == "llm"
    rest = json.loads(found["wandb.attributes"])
    assert (rest["user"], rest["team"], rest["gateway.cost_usd"]) == ("user-1", "search", 0.000333)


def test_the_project_is_told_with_the_sender_too():
    request = request_in(config("weave").build("mine", None).encode([parcel()], BATCH))
    found = attributes(request.resource_spans[0].resource)
    assert (found["wandb.entity"], found["wandb.project"]) == ("team", "shop")


def test_where_it_is():
    told_here = {"api_key": KEY, "entity": "team", "project": "shop"}
    assert WeaveConfig.model_validate(told_here).preset().url == "https://trace.wandb.ai/otel/v1/traces"
    own = WeaveConfig.model_validate({**told_here, "url": "https://acme.wandb.io/traces"})
    assert own.preset().url == "https://acme.wandb.io/traces/otel/v1/traces"

import base64
import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from destinations.client import client_for
from destinations.mlflow import MlflowConfig, bounded, cost_of, token_usage
from destinations.otlp import OtlpConfig
from domain.calls import Usage
from domain.destinations import Misconfigured, Rejected
from tests.destinations.compliance import assert_complies
from tests.destinations.fixture import BATCH, SPAN_ID, fixture_content, fixture_span, many, parcel
from tests.destinations.golden import golden
from tests.destinations.otlp_reading import readable
from tests.destinations.presets import KEY, config, told
from tests.destinations.simulators.platforms import Mlflow
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink
from tests.destinations.variants import VARIANTS


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("mlflow", sink.url), sink)
        headers = sink.last.headers
        assert (sink.last.path, headers["x-mlflow-experiment-id"]) == ("/v1/traces", "7")
        assert base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode() == f"gateway:{KEY}"


@pytest.mark.parametrize("name", ["full", "error", "streamed"])
def test_a_payload_is_as_its_golden_file(name):
    golden(f"mlflow/{name}.json", readable(config("mlflow").build("mine", None).encode([VARIANTS[name]()], BATCH)))


def test_costs_and_tokens_are_json():
    _, found = told(config("mlflow"), parcel())
    assert json.loads(found["mlflow.llm.cost"]) == {"input_cost": 0.000111, "output_cost": 0.000222, "total_cost": 0.000333}
    assert json.loads(found["mlflow.spanType"]) == "CHAT_MODEL"
    assert json.loads(found["mlflow.llm.provider"]) == "openai"
    assert token_usage(Usage(output_tokens=3)) == {"output_tokens": 3}
    assert cost_of(replace(fixture_span(), cost=None)) == {}


@pytest.mark.parametrize(
    ("operation", "usage", "kind"),
    [("embeddings", None, "EMBEDDING"), ("files", None, "UNKNOWN"), ("image_generation", Usage(images=1), "LLM")],
)
def test_kinds_of_spans(operation, usage, kind):
    _, found = told(config("mlflow"), parcel(replace(fixture_span(), operation=operation, usage=usage), None))
    assert json.loads(found["mlflow.spanType"]) == kind


def test_numbers_that_it_could_not_show_are_texts():
    """A real server takes them and answers 500 to whoever looks at the trace, or at a page with it, ever after."""
    arguments = json.dumps({"n": 2**70, "low": -(2**70), "good": 2**63 - 1, "is": True, "real": 0.5})
    asked = {
        "role": "assistant",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}],
    }
    content = replace(fixture_content(), input={"messages": [asked]})
    _, found = told(config("mlflow"), parcel(replace(fixture_span(), usage=Usage(input_tokens=2**70, output_tokens=1)), content))
    (message,) = json.loads(found["gen_ai.input.messages"])
    read = message["parts"][0]["arguments"]
    assert read == {"n": str(2**70), "low": str(-(2**70)), "good": 2**63 - 1, "is": True, "real": 0.5}
    assert json.loads(found["mlflow.chat.tokenUsage"]) == {"output_tokens": 1}
    assert bounded([10**9_000, -(10**9_000)]) == ["…", "-…"]
    deep = found_at = []
    for _ in range(500):
        found_at.append([])
        found_at = found_at[0]
    assert json.dumps(bounded(deep)).count("[") == 64
    assert bounded(parcel().content.input) == parcel().content.input


async def send(mlflow, parcels, **more):
    with Sink(mlflow) as sink:
        settings = config("mlflow", sink.url, **more)
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            return await destination.send(destination.encode(parcels, BATCH))


async def test_a_request_is_taken_whole_or_not_at_all():
    mlflow = Mlflow(bad=lambda seen: seen.span_id == SPAN_ID)
    with pytest.raises(Rejected):
        await send(mlflow, many(3))
    assert not mlflow.kept
    await send(mlflow, many(3)[1:])
    assert len(mlflow.kept) == 2


async def test_an_experiment_that_there_is_not_stops_until_somebody_names_another():
    with pytest.raises(Misconfigured):
        await send(Mlflow(), [parcel()], experiment_id="8")


async def test_without_the_header_it_refuses_everything():
    """Which is why the experiment must be set, and why a plain `otlp` destination will not do."""
    with Sink(Mlflow()) as sink:
        settings = OtlpConfig(url=sink.url, allow_private=True)
        async with client_for(settings) as client:
            destination = settings.build("mine", client)
            with pytest.raises(Rejected, match="experiment"):
                await destination.send(destination.encode([parcel()], BATCH))


@pytest.mark.parametrize(
    "wrong",
    [{}, {"experiment_id": ""}, {"experiment_id": "shop"}, {"experiment_id": "7", "username": "u"}],
)
def test_an_experiment_and_both_of_name_and_password(wrong):
    with pytest.raises(ValidationError):
        MlflowConfig.model_validate({"url": "https://mlflow.test", **wrong})


def test_without_a_user_nothing_is_said_of_one():
    settings = MlflowConfig.model_validate({"url": "https://mlflow.test", "experiment_id": "0"})
    assert settings.preset().headers == {"x-mlflow-experiment-id": "0"}

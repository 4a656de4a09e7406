import pytest
from pydantic import ValidationError

from destinations.axiom import AxiomConfig
from tests.destinations.compliance import assert_complies
from tests.destinations.presets import KEY, config
from tests.destinations.simulators.receiver import taken
from tests.destinations.sink import Sink


async def test_complies():
    with Sink(taken()) as sink:
        await assert_complies(config("axiom", sink.url), sink)
        assert sink.last.path == "/v1/traces"
        assert (sink.last.headers["authorization"], sink.last.headers["x-axiom-dataset"]) == (f"Bearer {KEY}", "traces")


def test_a_dataset_must_be_named():
    assert AxiomConfig.model_validate({"token": KEY, "dataset": "d"}).preset().url == "https://api.axiom.co/v1/traces"
    with pytest.raises(ValidationError):
        AxiomConfig.model_validate({"token": KEY})

import json

import msgspec
import pytest

from recorder.interpret import call_of
from tests.recorder.golden_cases import FOLDER, PATHS, exchange_of, found


def test_there_are_cases_for_every_api():
    assert len(PATHS) > 70


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_golden_case_means_what_it_says(path):
    case = json.loads(path.read_text())

    call = call_of(exchange_of(case))

    assert {name: found(call, name) for name in case["expect"]} == case["expect"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_what_is_recorded_can_be_stored_as_json(path):
    call = call_of(exchange_of(json.loads(path.read_text())))

    assert msgspec.json.decode(msgspec.json.encode([call.input, call.output, call.usage]))

"""Golden answers of the batches API."""

import pytest

from recorder.interpret import call_of
from tests.recorder.recorded_answers import assert_as_expected, exchange_of, names


@pytest.mark.parametrize("name", names("batches"))
def test_a_golden_answer_is_read_as_it_was_meant(name):
    call = call_of(exchange_of("batches", name))
    assert_as_expected("batches", name, call)

"""Golden answers of the files API."""

import pytest

from recorder.interpret import call_of
from tests.recorder.recorded_answers import assert_as_expected, exchange_of, names


@pytest.mark.parametrize("name", names("files"))
def test_a_golden_answer_is_read_as_it_was_meant(name):
    call = call_of(exchange_of("files", name))
    assert_as_expected("files", name, call)

"""Golden answers of the images API."""

import pytest

from recorder.interpret import call_of
from tests.recorder.recorded_answers import assert_as_expected, exchange_of, names


@pytest.mark.parametrize("name", names("images"))
def test_a_golden_answer_is_read_as_it_was_meant(name):
    call = call_of(exchange_of("images", name))
    assert_as_expected("images", name, call)


@pytest.mark.parametrize("name", ["generation", "stream", "edit_stream"])
def test_no_picture_is_held(name):
    call = call_of(exchange_of("images", name))
    assert "iVBOR" not in repr(call)

import pytest

from domain.durations import duration_text, seconds_of


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "0.25s"),
        (1, "1s"),
        (90, "90s"),
        (120, "2m"),
        (3_600, "1h"),
        (129_600, "36h"),
        (172_800, "2d"),
        (604_800, "1w"),
    ],
)
def test_seconds_are_told_in_the_largest_whole_unit_and_read_back(seconds, text):
    assert duration_text(seconds) == text
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "wrong", ["soon", "", "1 h", "-1s", "1y", True, None, [], -1, float("nan"), float("inf"), "99999999999s"]
)
def test_what_is_no_duration_is_refused(wrong):
    with pytest.raises(ValueError, match="duration"):
        seconds_of(wrong)

import pytest

from config.durations import Duration, duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("10s", 10),
        ("250ms", 0.25),
        ("5m", 300),
        ("1h30m", 5400),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("1.5h", 5400),
        ("7", 7),
        (7, 7),
        (0.5, 0.5),
        (" 10s ", 10),
    ],
)
def test_a_duration_is_read_as_people_write_it(written, seconds):
    assert duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "wrong", ["", "s", "10 s", "10x", "-5s", "1h 30m", "ten", True, None, -1, "400000d", float("nan"), [], "1e3s"]
)
def test_what_is_no_duration_is_refused(wrong):
    with pytest.raises(ValueError, match="duration"):
        duration(wrong)


def test_a_duration_remembers_how_it_was_written():
    assert duration("1h30m").written == "1h30m"
    assert duration(2.5).written == "2.5s"
    assert duration(Duration(3, "3s")).written == "3s"

import pytest

from gateway.running.quiet import Quiet


def status(recorded, age=None, waiting=0):
    return {"recorder": {"recorded": recorded}, "journal": {"oldest_age_seconds": age, "backlog_bytes": waiting}}


@pytest.mark.parametrize(
    ("looks", "quiet"),
    [
        ([(0.0, status(1))], False),
        ([(0.0, status(1)), (0.1, status(1))], False),
        ([(0.0, status(1)), (0.4, status(1))], True),
        ([(0.0, status(1)), (0.4, status(2))], False),
        ([(0.0, status(1)), (0.4, status(2)), (0.8, status(2))], True),
        ([(0.0, status(1)), (0.4, status(1, age=0.1))], False),
        ([(0.0, status(1)), (0.4, status(1, waiting=700))], False),
        ([(0.0, status(1)), (0.4, status(1, waiting=700)), (0.6, status(1))], False),
        ([(0.0, status(1)), (0.4, status(1, waiting=700)), (0.8, status(1))], True),
        ([(0.0, status(1, age=5.0)), (0.4, status(1, age=5.4))], False),
    ],
)
def test_the_office_is_quiet_when_nothing_waited_for_longer_than_a_gate_takes_to_write(looks, quiet):
    clock = iter([])
    seen = Quiet(now=lambda: next(clock))
    found = None
    for at, told in looks:
        clock = iter([at, at])
        found = seen.after(told)
    assert found is quiet

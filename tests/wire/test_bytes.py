"""Every scripted call is the same through the gate as straight to the upstream, byte by byte in both directions."""

import pytest

from tests.harness.compare import Case, differences, perform
from tests.harness.gate import Gate
from tests.harness.upstream import ScriptedUpstream
from tests.wire import cases_answers, cases_requests, cases_streams

CASES = [
    *(pytest.param(case, id=f"request: {case.name}") for case in cases_requests.CASES),
    *(pytest.param(case, id=f"answer: {case.name}") for case in cases_answers.CASES),
    *(pytest.param(case, id=f"stream: {case.name}") for case in cases_streams.CASES),
]

NOT_THROUGH_ASGI = {
    "an empty query": "ASGI does not tell an empty query from none",
    "an upgrade that is not a WebSocket": "uvicorn's own protocol gives up on it before ASGI",
    "an HTTP/1.0 client with keep-alive": "uvicorn's own protocol closes after each HTTP/1.0 answer",
    "103 is passed on at once": "ASGI has no 1xx answers",
}


@pytest.mark.parametrize("case", CASES)
def test_a_call_is_the_same_through_the_gate(case: Case, gate: Gate, upstream: ScriptedUpstream) -> None:
    if gate.asgi and case.name in NOT_THROUGH_ASGI:
        pytest.skip(NOT_THROUGH_ASGI[case.name])
    direct = perform(case, upstream, upstream.address)
    through = perform(case, upstream, gate.address)
    assert not (found := differences(case, direct, through, asgi=gate.asgi)), "\n".join(found)


def test_there_are_enough_cases() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 60

"""Our own errors, in the three shapes that SDKs understand."""

import inspect
import json

import pytest

from domain import errors
from domain.errors import BudgetExceeded, GatewayError, InvalidRequest, RateLimited
from gateway.wire.error_answers import REASONS, error_body, error_headers, wire_answer

ALL = [each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, GatewayError)]


@pytest.mark.parametrize("kind", ALL)
def test_openais_shape(kind):
    error = kind('Say "why" — and what to do.', param="model")

    assert json.loads(error_body(error)) == {
        "error": {"message": 'Say "why" — and what to do.', "type": kind.type, "param": "model", "code": kind.code}
    }


ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    500: "api_error",
    502: "api_error",
}


@pytest.mark.parametrize("kind", ALL)
def test_anthropics_shape(kind):
    found = json.loads(error_body(kind("why"), "anthropic"))

    assert found["type"] == "error"
    assert set(found["error"]) == {"type", "message"}
    assert found["error"]["type"] == ANTHROPIC.get(kind.status, found["error"]["type"])
    assert found["error"]["type"].endswith(("_error", "too_large"))


@pytest.mark.parametrize("kind", ALL)
def test_googles_shape(kind):
    found = json.loads(error_body(kind("why"), "gemini"))

    assert set(found) == {"error"}
    assert set(found["error"]) == {"code", "message", "status"}
    assert found["error"]["code"] == kind.status
    assert found["error"]["status"].isupper()


@pytest.mark.parametrize("kind", ALL)
def test_headers_say_whose_error_it_is_and_whether_to_try_again(kind):
    body = error_body(kind("why"))

    found = dict(error_headers(kind("why"), body))

    assert found == {
        b"content-type": b"application/json",
        b"content-length": str(len(body)).encode(),
        b"x-should-retry": b"true" if kind.retry else b"false",
        b"x-faregate-error-origin": b"gateway",
    }


@pytest.mark.parametrize(("after", "shown"), [(0, b"0"), (0.2, b"1"), (5, b"5"), (59.01, b"60")])
def test_retry_after_is_never_too_early(after, shown):
    assert dict(error_headers(RateLimited("why", retry_after=after), b""))[b"retry-after"] == shown


def test_a_spent_budget_is_not_worth_a_retry_though_it_says_when_it_ends():
    headers = dict(error_headers(BudgetExceeded("why", retry_after=3600), b""))

    assert (headers[b"x-should-retry"], headers[b"retry-after"]) == (b"false", b"3600")


def test_headers_of_an_error_go_with_its_answer():
    headers = error_headers(BudgetExceeded("why", headers=(("x-faregate-budget", "key:ci;limit=1.00"),)), b"")

    assert (b"x-faregate-budget", b"key:ci;limit=1.00") in headers
    assert not any(name == b"retry-after" for name, _ in headers)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai", {"error": {"message": "why", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}}),
        ("anthropic", {"type": "error", "error": {"type": "billing_error", "message": "why"}}),
        ("gemini", {"error": {"code": 402, "message": "why", "status": "RESOURCE_EXHAUSTED"}}),
    ],
)
def test_a_budget_that_refuses_with_402_does_so_in_every_dialect(dialect, body):
    error = BudgetExceeded("why", status=402)

    assert json.loads(error_body(error, dialect)) == body
    assert (error.status, BudgetExceeded.status) == (402, 429)
    assert REASONS[402] == b"Payment Required"


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai", {"error": {"message": "why", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}}),
        ("anthropic", {"type": "error", "error": {"type": "rate_limit_error", "message": "why"}}),
        ("gemini", {"error": {"code": 429, "message": "why", "status": "RESOURCE_EXHAUSTED"}}),
    ],
)
def test_a_spent_budget_is_refused_in_every_dialect(dialect, body):
    assert json.loads(error_body(BudgetExceeded("why"), dialect)) == body


@pytest.mark.parametrize("kind", ALL)
def test_every_status_of_ours_has_a_reason(kind):
    assert kind.status in REASONS


def test_an_answer_on_the_wire_is_whole_and_the_last_of_its_connection():
    head, _, body = wire_answer(InvalidRequest("why")).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")

    assert lines[0] == b"HTTP/1.1 400 Bad Request"
    assert b"content-length: %d" % len(body) in lines
    assert lines[-1] == b"connection: close"
    assert json.loads(body)["error"]["message"] == "why"

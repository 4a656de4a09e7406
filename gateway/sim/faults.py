"""The errors of the simulated upstream, with the bodies that OpenAI and Anthropic document for each status.

Source: OpenAI's and Anthropic's guides to error codes, read 2026-11-20.
"""

from gateway.sim.dice import Dice
from gateway.sim.http import Answer, Headers, Json, json_answer
from gateway.sim.models import Model

_OPENAI: dict[int, tuple[str, str, str | None]] = {
    400: ("invalid_request_error", "The request could not be understood.", None),
    401: ("invalid_request_error", "Incorrect API key provided. You can find your API key in your account.", "invalid_api_key"),
    403: ("request_forbidden", "Country, region, or territory not supported", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "The requested resource was not found.", "not_found"),
    409: ("invalid_request_error", "The resource was updated by another request. Please try again.", "conflict"),
    422: ("invalid_request_error", "The request was well formed but could not be processed.", None),
    429: ("requests", "Rate limit reached for this model on requests per min (RPM): Limit 500, Used 500.", "rate_limit_exceeded"),
    500: ("server_error", "The server had an error while processing your request. Sorry about that!", None),
    503: ("service_unavailable_error", "The engine is currently overloaded, please try again later.", None),
}
_ANTHROPIC: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "The request could not be understood."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is an issue with your billing or payment information."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum allowed number of bytes."),
    429: ("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request timed out."),
    529: ("overloaded_error", "Overloaded"),
}
_RETRY_AFTER = {429: "1", 503: "2", 529: "2"}
_SERVER_SIDE = 500


class Refused(Exception):
    """The simulated provider's answer to a request that is wrong."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def openai_refusal(refused: Refused) -> Answer:
    """Return the answer to a wrong request in OpenAI's shape."""
    return json_answer(_openai_body("invalid_request_error", refused.message, refused.param, refused.code), status=refused.status)


def anthropic_refusal(refused: Refused, request_id: str) -> Answer:
    """Return the answer to a wrong request in Anthropic's shape."""
    kind = _ANTHROPIC.get(refused.status, ("invalid_request_error", ""))[0]
    return json_answer(_anthropic_body(kind, refused.message, request_id), status=refused.status)


def falls_out(model: Model, digest: bytes) -> int | None:
    """Return the status with which this call fails, or None if it does not: the same call always fares the same."""
    if model.error_code is None or Dice(digest).unit() >= model.error_rate:
        return None
    return model.error_code


def openai_failure(status: int) -> Answer:
    """Return an error as OpenAI words it."""
    general = (
        "server_error" if status >= _SERVER_SIDE else "invalid_request_error",
        f"The request failed with status {status}.",
        None,
    )
    kind, message, code = _OPENAI.get(status, general)
    return json_answer(_openai_body(kind, message, None, code), status=status, headers=_after(status))


def anthropic_failure(status: int, request_id: str) -> Answer:
    """Return an error as Anthropic words it."""
    general = ("api_error" if status >= _SERVER_SIDE else "invalid_request_error", f"The request failed with status {status}.")
    kind, message = _ANTHROPIC.get(status, general)
    return json_answer(_anthropic_body(kind, message, request_id), status=status, headers=_after(status))


def _after(status: int) -> Headers:
    return (("retry-after", _RETRY_AFTER[status]),) if status in _RETRY_AFTER else ()


def _openai_body(kind: str, message: str, param: str | None, code: str | None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _anthropic_body(kind: str, message: str, request_id: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}

"""Errors that somebody treats differently. The gate answers each with its own status, type and code."""

from collections.abc import Sequence


class GatewayError(Exception):
    """An error whose answer the gate makes itself."""

    status = 500
    type = "gateway_error"
    code = "internal_error"
    retry = False

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        param: str | None = None,
        status: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Keep `message` for the caller; `retry_after` is in seconds, `headers` go with the answer. `status` is another one than usual."""
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.param = param
        self.headers = tuple(headers)
        if status is not None:
            self.status = status


class InvalidRequest(GatewayError):
    """The request cannot be passed on as it is."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class AuthenticationFailed(GatewayError):
    """The key is missing, unknown, expired or revoked."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class PermissionDenied(GatewayError):
    """The key may not use this model."""

    status = 403
    type = "permission_error"
    code = "model_not_allowed"


class DeniedByRoute(GatewayError):
    """A route of the operator refuses the call (`deny`)."""

    status = 403
    type = "permission_error"
    code = "denied_by_route"


class UnknownUpstream(GatewayError):
    """The path or the model names an upstream that is not configured."""

    status = 404
    type = "invalid_request_error"
    code = "unknown_upstream"


class BodyTimeout(GatewayError):
    """The caller stopped sending in the middle of its request."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class BodyTooLarge(GatewayError):
    """The request's body is larger than `server.max_body_mb`."""

    status = 413
    type = "invalid_request_error"
    code = "body_too_large"


class HeadersTooLarge(GatewayError):
    """The request's head has too many bytes or too many headers."""

    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"


class BudgetExceeded(GatewayError):
    """A budget has no room for this call in this window (402 where the budget says so)."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"


class BudgetInFlight(GatewayError):
    """A budget has no room for this call now, but may have when the calls that are running are settled."""

    status = 429
    type = "rate_limit_error"
    code = "budget_in_flight"
    retry = True


class BudgetUnavailable(GatewayError):
    """What was spent is not known now, and the budget says that nothing is spent then."""

    status = 503
    type = "gateway_error"
    code = "budget_unavailable"
    retry = True


class RateLimited(GatewayError):
    """The key calls too often, or too many of its calls run at once."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    retry = True


class UpstreamUnavailable(GatewayError):
    """No upstream on the route could be reached."""

    status = 502
    type = "upstream_error"
    code = "upstream_unavailable"
    retry = True


class Draining(GatewayError):
    """The gate is stopping and takes no new calls."""

    status = 503
    type = "gateway_error"
    code = "draining"
    retry = True


class JournalFull(GatewayError):
    """What happens can no longer be recorded, and `record.on_full` is `reject`."""

    status = 503
    type = "gateway_error"
    code = "journal_full"
    retry = True


class UpstreamTimeout(GatewayError):
    """The upstream did not answer in time."""

    status = 504
    type = "upstream_error"
    code = "upstream_timeout"
    retry = True


class StoreUnavailable(Exception):
    """The span store cannot be reached now; what was asked of it can be tried again."""

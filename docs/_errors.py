"""The page of errors, from `domain/errors.py`."""

import inspect
from collections.abc import Iterator

from domain.errors import GatewayError

_START = """# Errors

An error of a provider is the provider's: its status, headers and body pass through as they came, with
`x-faregate-error-origin: upstream`. The errors below are ours, and say `x-faregate-error-origin: gateway`. They have the shape that the
caller's SDK expects: OpenAI's, and Anthropic's on Anthropic's paths.

```json
{"error": {"message": "what was wrong, and what to do", "type": "…", "param": null, "code": "…"}}
```

`x-should-retry` says whether the same call may succeed later; the official SDKs obey it. Where we know when, `retry-after` says so.

| status | `type` | `code` | when | worth retrying |
| --- | --- | --- | --- | --- |
"""
_END = """
A fault of the gate itself is a 500 with the code `internal_error` and nothing about its cause: that is in the log.
"""


def errors_page() -> str:
    """Return the whole page."""
    kinds = sorted(_kinds(GatewayError), key=lambda kind: (kind.status, kind.code))
    rows = (
        f"| {kind.status} | `{kind.type}` | `{kind.code}` | {_when(kind)} | {'yes' if kind.retry else 'no'} |\n" for kind in kinds
    )
    return _START + "".join(rows) + _END


def _kinds(base: type[GatewayError]) -> Iterator[type[GatewayError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _when(kind: type[GatewayError]) -> str:
    return (inspect.getdoc(kind) or "").splitlines()[0].replace("|", r"\|")

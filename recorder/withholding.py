"""Withholding: what goes with a call where no content may go, or nobody may see who called."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.calls import CallError, ToolCall
from domain.spans import Span

WITHHELD = "The provider's message is withheld, since it may quote the prompt."
# What is a name and no sentence: `rate_limit_error`, `resp_0123`, `high`.
_WORD = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")


def without_content(span: Span) -> Span:
    """Return `span` without what apps and providers write freely. Numbers, names and what is said in our own words stay.

    Of the request's settings that is what is a number or one word (stop sequences are texts), of its path what stands before the query, of a provider's
    error its type and code, of tools their names.
    """
    return replace(
        span,
        content="none",
        path=span.path.partition("?")[0],
        error=_error(span),
        params=_parameters(span.params),
        tool_calls=tuple(ToolCall(tool.id, tool.name, "") for tool in span.tool_calls),
    )


def without_names(value: Any, names: Mapping[str, str]) -> Any:
    """Return a JSON value with what stands for each of `names` in the place of it, in every text."""
    if not names:
        return value
    if isinstance(value, str):
        for name, instead in names.items():
            value = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", instead, value)
        return value
    if isinstance(value, dict):
        return {without_names(key, names): without_names(member, names) for key, member in value.items()}
    return [without_names(member, names) for member in value] if isinstance(value, list | tuple) else value


def _error(span: Span) -> CallError | None:
    error = span.error
    if error is None or _is_ours(span):
        return error
    return CallError(_word(error.type), _word(error.code), WITHHELD)


def _is_ours(span: Span) -> bool:
    """Return whether the error of a call is in our own words: it was refused, or nobody answered it."""
    return span.outcome == "denied" or bool(span.attempts and all(one.status is None for one in span.attempts))


def _parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if isinstance(value, int | float) or _word(value)}


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None

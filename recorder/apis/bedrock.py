"""Amazon Bedrock: the Converse API, and models invoked by their own. The model stands in the path. Binary event streams are not read.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
"""

import re
from typing import Any
from urllib.parse import unquote

from domain.calls import Call, Usage
from domain.exchange import Dialect
from pricing.usage import anthropic, bedrock
from recorder.apis.binary import without_binary
from recorder.apis.generic import output_of
from recorder.apis.reading import Api, Reading, text_of

_MODEL = re.compile(r"model/([^/]+)/[a-z-]+$")


def read(reading: Reading) -> Call:
    """Read an answer of `/model/{id}/converse` or `/model/{id}/invoke`."""
    answer = reading.answered
    found = _MODEL.search(reading.path)
    reason = text_of(answer.get("stopReason")) or text_of(answer.get("stop_reason"))
    return Call(
        operation=reading.operation,
        outcome="ok",
        model=unquote(found[1]) if found else reading.model,
        usage=_usage(answer),
        input=without_binary(reading.input),
        output=without_binary(answer) or output_of(reading),
        finish_reasons=(reason,) if reason else (),
    )


def _usage(answer: dict[str, Any]) -> Usage | None:
    raw = answer.get("usage")
    if isinstance(raw, dict) and "input_tokens" in raw:
        return anthropic.usage_of(raw)
    tier = answer.get("serviceTier")
    return bedrock.usage_of(raw, tier=tier.get("type") if isinstance(tier, dict) else tier)


_EVERY: tuple[Dialect, ...] = ("openai", "anthropic", "gemini")
APIS: tuple[Api, ...] = (
    Api("chat", r"model/[^/]+/converse", read, dialects=_EVERY),
    Api("chat", r"model/[^/]+/invoke", read, dialects=_EVERY),
)

"""Usage that no provider told, estimated: of calls that were cut, cancelled or interrupted, and of servers that never tell.

What a provider did say stays as it is; only what is missing is estimated, and the usage says so (`source`, `flags`).
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.calls import Call, Usage
from domain.exchange import Exchange, Headers
from pricing.tokens.counter import Estimate, TokenCounter
from pricing.tokens.families import family_of
from pricing.tokens.ranks import RanksDamaged
from pricing.usage.numbers import ANOMALOUS
from recorder import estimating_sessions as sessions
from recorder.bodies import decoded, header, json_of
from recorder.estimating_sessions import INPUT, OUTPUT
from recorder.interpret import call_of

log = logging.getLogger(__name__)

INPUT_UNKNOWN, OUTPUT_UNKNOWN = "input_not_recorded", "output_not_readable"
REASONING, UNSEEN = "hidden_reasoning_not_counted", "answer_not_seen"

# Operations that are billed by tokens, and whether an answer of theirs is too.
_ANSWERS_BILLED: Mapping[str, bool] = {
    "chat": True,
    "text_completion": True,
    "responses": True,
    "generate_content": True,
    "embeddings": False,
}
_FIRST_ERROR = 400
# What interpreting or the gate says of an answer that broke off: the model may have read its input all the same.
_BROKEN_OFF = frozenset({"upstream_cut", "upstream_unavailable", "upstream_timeout", "draining"})


def lacks_usage(call: Call) -> bool:
    """Tell whether the provider left out a count that is billed. It is asked of every call, and costs next to nothing.

    Impossible counts are not replaced: what is wrong with them should be seen.
    """
    usage = call.usage
    if usage is not None and usage.input_tokens is not None and usage.output_tokens is not None:
        return False
    answer_billed = _ANSWERS_BILLED.get(call.operation)
    if answer_billed is None:
        return False
    return usage is None or (ANOMALOUS not in usage.flags and (usage.input_tokens is None or answer_billed))


class Estimator:
    """Estimates usage, for the recorder's thread. The tokenizers are loaded at the first call that lacks usage."""

    def __init__(self, counter: TokenCounter) -> None:
        """Take what counts tokens."""
        self._counter = counter
        self._last_error = ""

    def interpret(self, exchange: Exchange) -> Call:
        """Return what `exchange` meant, with the usage that the provider did not tell."""
        call = call_of(exchange)
        call.usage = self.estimate(exchange, call)
        return call

    def estimate(self, exchange: Exchange, call: Call) -> Usage | None:
        """Return the usage of `call`: the provider's where it is whole, and else with what is missing in it estimated.

        None where nothing was used (refused, never sent, answered with an error), or where nothing can be said. It never raises: if the
        tokenizers are broken, the usage stays as the provider told it.
        """
        session = call.operation == sessions.OPERATION
        if not (session or lacks_usage(call)) or not _was_used(exchange, call):
            return call.usage
        try:
            return sessions.completed_session(call, self._counter) if session else self._completed(exchange, call)
        except Exception as error:  # noqa: BLE001 - a call without an estimate is worth more than none
            self._failed(error)
            return call.usage

    def _completed(self, exchange: Exchange, call: Call) -> Usage | None:
        told, model = call.usage or Usage(), call.served_model or call.model
        read = self._input(exchange, call, model) if told.input_tokens is None else None
        written = self._output(exchange, call, model) if told.output_tokens is None else None
        nothing_said = call.usage is None and read is None and (written is None or not written.tokens)
        if nothing_said or _failed_at_once(call, written):
            return call.usage
        return replace(
            told,
            input_tokens=told.input_tokens if read is None else read.tokens,
            output_tokens=told.output_tokens if written is None else written.tokens,
            source="estimated",
            flags=tuple(dict.fromkeys((*told.flags, *_flags(told, call, read, written, model)))),
        )

    def _input(self, exchange: Exchange, call: Call, model: str | None) -> Estimate | None:
        """Return what the request was, read again from its bytes: the call's own copy has pictures described, without their sizes."""
        body = _request_of(exchange)
        return None if body is None else self._counter.input(body, model, embeds=call.operation == "embeddings")

    def _output(self, exchange: Exchange, call: Call, model: str | None) -> Estimate | None:
        """Return what came of the answer, None where it cannot be read."""
        if not _ANSWERS_BILLED[call.operation] or (_is_description(call.output) and "text" not in call.output):
            return None
        return self._counter.output(call.output, model, share=_share(exchange, call.output))

    def _failed(self, error: Exception) -> None:
        """Log what went wrong, once for as long as it stays the same; its words only where they cannot hold content."""
        message = str(error) if isinstance(error, RanksDamaged) else type(error).__name__
        if message != self._last_error:
            log.warning("usage could not be estimated: %s", message)
        self._last_error = message


def _was_used(exchange: Exchange, call: Call) -> bool:
    """Tell whether a model may have worked for the call, as far as the exchange shows."""
    closing = exchange.closing
    if closing is None:
        return True  # the gate died, most likely with the call under way
    if call.outcome == "denied" or (closing.status or 0) >= _FIRST_ERROR:
        return False
    # A response in the background has its usage when it is looked at later.
    return closing.sent_us is not None and "background" not in call.notes


def _failed_at_once(call: Call, written: Estimate | None) -> bool:
    """Tell whether the provider answered with an error in the place of a first token, which is not billed."""
    return call.error is not None and call.error.code not in _BROKEN_OFF and (written is None or not written.tokens)


def _flags(told: Usage, call: Call, read: Estimate | None, written: Estimate | None, model: str | None) -> tuple[str, ...]:
    """Return how the missing counts were estimated, and what is not in them."""
    flags: list[str] = []
    if read is not None:
        flags += (INPUT, *read.flags)
    elif told.input_tokens is None:
        flags.append(INPUT_UNKNOWN)
    if written is not None:
        flags += (OUTPUT, *written.flags)
        flags += (REASONING,) if family_of(model).hides_reasoning else ()
        flags += (UNSEEN,) if not written.tokens and not call.stream else ()
    elif told.output_tokens is None and _ANSWERS_BILLED[call.operation]:
        flags.append(OUTPUT_UNKNOWN)
    return tuple(flags)


def _request_of(exchange: Exchange) -> Any:
    """Return the request's JSON value, None where there is none or it was cut."""
    closing = exchange.closing
    headers: Headers = () if closing is None else closing.request_headers
    if not exchange.request or (closing is not None and closing.request_cut):
        return None
    plain, cut = decoded(exchange.request, header(headers, "content-encoding"))
    return None if cut else json_of(plain)


def _is_description(output: Any) -> bool:
    """Tell whether an output only describes what could not be read (see `recorder.apis.reading.described`)."""
    return isinstance(output, dict) and isinstance(output.get("bytes"), int) and "content_type" in output


def _share(exchange: Exchange, output: Any) -> float:
    """Return how much of the answer there is to count, where only its beginning was kept."""
    closing = exchange.closing
    share = 1.0
    if _is_description(output) and output["bytes"]:
        share = len(output["text"].encode()) / output["bytes"]
    if closing is not None and closing.response_cut and closing.response_bytes > len(exchange.response) > 0:
        share *= len(exchange.response) / closing.response_bytes
    return min(share, 1.0)

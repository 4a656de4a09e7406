"""Sessions of the Responses API: each response that broke off before its usage came is estimated by itself, as a call inside the session's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.calls import Call, SubCall, Usage
from pricing.tokens.counter import TokenCounter

OPERATION = "responses.session"
INPUT, OUTPUT = "estimated_input", "estimated_output"


def unfinished(call: Call) -> list[int]:
    """Return the numbers of the responses in a session that have no usage, though something came of them."""
    answers = call.output if isinstance(call.output, list) else []
    return [
        number
        for number, answer in enumerate(answers)
        if isinstance(answer, dict)
        and not isinstance(answer.get("usage"), dict)
        and (answer.get("output") or _is_running(answer))
    ]


def completed_session(call: Call, counter: TokenCounter) -> Usage | None:
    """Return the usage of a session with its unfinished responses estimated.

    What a response read from those before it is not in its request, and is not counted: the flags say so.

    Raises:
        RanksDamaged: the shipped ranks are not there.
    """
    numbers = unfinished(call)
    if not numbers:
        return call.usage
    asked = _asked(call)
    added = tuple(_estimated(call, number, asked, counter) for number in numbers)
    told = call.usage
    if told is None:
        first, *others = added
        return first.usage if not others else Usage(sub_calls=added, source="estimated", flags=_flags(added))
    known = told.sub_calls or (SubCall(call.served_model, "response", told),)
    outer = told if told.sub_calls else Usage()
    flags = tuple(dict.fromkeys((*outer.flags, *_flags(added))))
    return replace(outer, sub_calls=(*known, *added), source="estimated", flags=flags)


def _estimated(call: Call, number: int, asked: list[Mapping[str, Any]], counter: TokenCounter) -> SubCall:
    answer = call.output[number]
    named = answer.get("model")
    model = named if isinstance(named, str) else call.model
    read = counter.input(asked[number], model) if number < len(asked) else None
    written = counter.output(answer, model)
    flags = (*(() if read is None else (INPUT, *read.flags)), OUTPUT, *written.flags)
    usage = Usage(
        input_tokens=None if read is None else read.tokens,
        output_tokens=written.tokens,
        source="estimated",
        flags=tuple(dict.fromkeys(flags)),
    )
    return SubCall(model, "response", usage)


def _asked(call: Call) -> list[Mapping[str, Any]]:
    """Return the requests of a session, in order."""
    events = call.input if isinstance(call.input, list) else []
    created = [event for event in events if isinstance(event, dict) and event.get("type") == "response.create"]
    return [event["response"] if isinstance(event.get("response"), dict) else event for event in created]


def _is_running(answer: Mapping[str, Any]) -> bool:
    return answer.get("status") in ("queued", "in_progress")


def _flags(added: tuple[SubCall, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(flag for one in added for flag in one.usage.flags))

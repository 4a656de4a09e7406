"""`POST /v1/completions` of the simulated upstream: the legacy API, one prompt or many."""

from collections.abc import Iterator
from typing import Any

from gateway.sim.chat import usage_of
from gateway.sim.dice import Dice
from gateway.sim.faults import Refused
from gateway.sim.http import Answer, Asked, Event, Json, json_answer, stream_answer, unnamed_event
from gateway.sim.reading import Setting, document, model_of, needed, whole_number
from gateway.sim.script import Reply, Turn, reply
from gateway.sim.words import count

_USUAL_LIMIT = 16
_MOST_CHOICES = 128


def completions(asked: Asked, setting: Setting) -> Answer:
    """Complete each prompt `n` times."""
    body = document(asked)
    model, prompts, digest = model_of(body), _prompts(needed(body, "prompt", (str, list))), setting.digest(asked)
    each = whole_number(body, "n", most=_MOST_CHOICES) or 1
    limit = whole_number(body, "max_tokens", least=0)
    turns = [
        Turn(model, digest, said=prompt, limit=_USUAL_LIMIT if limit is None else limit)
        for prompt in prompts
        for _ in range(each)
    ]
    replies = [reply(turn, index) for index, turn in enumerate(turns)]
    starts = [turn.said if body.get("echo") is True else "" for turn in turns]
    usage = usage_of(sum(count(prompt) for prompt in prompts), sum(one.tokens for one in replies))
    head: Json = {
        "id": f"cmpl-{Dice(digest).mark(29)}",
        "object": "text_completion",
        "created": int(setting.now),
        "model": model.name,
    }
    if body.get("stream") is True:
        options = body.get("stream_options")
        wanted = isinstance(options, dict) and options.get("include_usage") is True
        return stream_answer(_events(head, starts, replies, model.gap, usage if wanted else None), delay=model.ttft)
    choices = [_choice(index, starts[index] + one.text, _finish(one)) for index, one in enumerate(replies)]
    return json_answer(head | {"choices": choices, "usage": usage}, delay=model.takes(max(one.tokens for one in replies)))


def _prompts(found: Any) -> list[str]:
    """Return the prompts as texts; tokens given as numbers become words, one for each."""
    if isinstance(found, str):
        return [found]
    if found and all(isinstance(token, int) for token in found):
        return [" ".join(str(token) for token in found)]
    prompts = [one if isinstance(one, str) else _prompts(one)[0] for one in found if isinstance(one, str | list)]
    if not prompts:
        raise Refused(400, "Invalid 'prompt': empty array.", param="prompt", code="empty_array")
    return prompts


def _events(head: Json, starts: list[str], replies: list[Reply], gap: float, usage: Json | None) -> Iterator[Event]:
    extra = {"usage": None} if usage is not None else {}
    for index, one in enumerate(replies):
        for piece in ([starts[index]] if starts[index] else []) + list(one.pieces):
            yield unnamed_event(head | {"choices": [_choice(index, piece, None)]} | extra, gap)
        yield unnamed_event(head | {"choices": [_choice(index, "", _finish(one))]} | extra)
    if usage is not None:
        yield unnamed_event(head | {"choices": [], "usage": usage})
    yield Event(b"data: [DONE]\n\n")


def _choice(index: int, text: str, finish: str | None) -> Json:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _finish(one: Reply) -> str:
    return "length" if one.cut else "stop"

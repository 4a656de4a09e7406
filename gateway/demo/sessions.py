"""The kinds of sessions that a made-up past consists of: what its apps say, call by call."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.demo.script import SEARCH, Script, Step, chat, looping, researching

_TOPICS = (
    "the invoice of March",
    "our return policy",
    "the outage on Tuesday",
    "the new plan",
    "shipping to Norway",
    "the contract",
)
_ASKS = ("Explain {}.", "What do customers say about {}?", "Write two sentences on {}.", "Is there a problem with {}?")
_AGAIN = (
    "Shorter, please.",
    "And in plain words?",
    "What would you do?",
    "Who should know about this?",
    "Thanks. Anything else?",
)
_FOLLOWS = 0.7
_MOST_TURNS = 6
# How often an app does not wait for the end of a stream, an agent finds no end, and a review is streamed.
_LEAVES, _LOOPS, _STREAMS = 0.04, 0.1, 0.5


@dataclass(frozen=True, slots=True)
class Session:
    """One kind of session. `thinking` is the logarithm of the usual seconds between two of its calls; `weight` says how common it is."""

    name: str
    team: str
    script: Callable[[Random], Script]
    weight: int
    thinking: float
    has_user: bool = True


def _assistant(chance: Random) -> Script:
    """Talk with an assistant, streamed; now and then somebody leaves before the answer ends."""
    messages: list[dict[str, str]] = [{"role": "system", "content": "You help the customers of a shop."}]
    question = chance.choice(_ASKS).format(chance.choice(_TOPICS))
    for _ in range(_MOST_TURNS):
        messages = [*messages, {"role": "user", "content": question}]
        body = {"model": "sim/chat", "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
        yield Step("assistant", "a turn", body, leaves=chance.random() < _LEAVES)
        if chance.random() > _FOLLOWS:
            return
        messages = [*messages, {"role": "assistant", "content": f"About that: {question.lower()}"}]
        question = chance.choice(_AGAIN)


def _agent(chance: Random) -> Script:
    """Plan, search and write, as an agent does; one in ten does not find an end."""
    topic = chance.choice(_TOPICS)
    yield Step("agent:planner", "a plan", chat("sim/chat", ("system", "You plan."), ("user", f"Find out about {topic}.")))
    yield from researching(f"Look for {topic}.")
    if chance.random() < _LOOPS:
        yield from looping(chance.randint(3, 7), f"Search for {topic} until you are sure.")
    letter = {"model": "sim/chat", "input": f"Write a note about {topic}.", "stream": True}
    yield Step("agent:writer", "the note", letter, "/v1/responses")


def _index(chance: Random) -> Script:
    """Embed documents, a few at a time, as a job does."""
    for batch in range(chance.randint(2, 8)):
        texts = [f"Part {batch}.{part} on {chance.choice(_TOPICS)}." for part in range(chance.randint(1, 12))]
        # Few dimensions: what is made up should not fill anybody's disk.
        body = {"model": "sim/chat", "input": texts, "dimensions": 64, "encoding_format": "base64"}
        yield Step("index", "a batch", body, "/v1/embeddings")


def _triage(chance: Random) -> Script:
    """Sort a form: one short call, tried again where the provider is busy or failing."""
    text = f"Which department should answer this? {chance.choice(_ASKS).format(chance.choice(_TOPICS))}"
    model = chance.choices(
        ("sim/echo", "sim/error?code=429&rate=0.7", "sim/error?code=500", "sim/error?code=503&rate=0.5"), (80, 11, 4, 5)
    )[0]
    for attempt in range(1, 5):
        body = {**chat(model, ("user", text)), "metadata": {"attempt": f"{attempt}.{chance.getrandbits(16)}"}}
        answer = yield Step("triage", "a form", body, retries=attempt > 1)
        if answer is None or "error" not in answer:
            return


def _reviewer(chance: Random) -> Script:
    """Read somebody's code through Anthropic's API, every other time streamed."""
    for part in range(chance.randint(1, 4)):
        said: Any = [{"role": "user", "content": f"Review part {part} of the change to {chance.choice(_TOPICS)}."}]
        body = {"model": "chat", "max_tokens": 400, "messages": said, "stream": chance.random() < _STREAMS}
        yield Step(
            "reviewer",
            "a part",
            body,
            "/v1/messages",
            headers={"anthropic-version": "2023-06-01"},
            leaves=chance.random() < _LEAVES,
        )


def _analyst(chance: Random) -> Script:
    """Ask for numbers with a tool at hand."""
    asked = {**chat("sim/tools", ("user", f"How many orders had to do with {chance.choice(_TOPICS)}?")), "tools": [SEARCH]}
    yield Step("analyst/tool:search", "a question", asked)
    yield from researching(f"Compare that with last year: {chance.choice(_TOPICS)}.")


SESSIONS = (
    Session("assistant", "support", _assistant, 34, 2.6),
    Session("agent", "research", _agent, 18, 0.3),
    Session("index", "search", _index, 14, -0.7, has_user=False),
    Session("triage", "support", _triage, 24, 0.6),
    Session("reviewer", "platform", _reviewer, 14, 1.6),
    Session("analyst", "finance", _analyst, 8, 1.2),
)

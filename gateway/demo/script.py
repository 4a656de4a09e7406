"""The sample calls of `faregate demo`: a small team of agents, with the things that happen to such teams."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search the company's pages.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    },
}
QUESTION = "Which of our three plans should a team of twelve take, and why?"
LOOPS = 4
LIMITED = "sim/error?code=429&rate=0.7"
TRIES = 6


@dataclass(frozen=True, slots=True)
class Step:
    """One call, and what it shows. `retries`: it comes after the wait that the answer before it asked for. `leaves`: the app does not wait for its end."""

    section: str
    says: str
    body: Mapping[str, Any]
    path: str = "/v1/chat/completions"
    retries: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    leaves: bool = False


# Sent the JSON that each call was answered with; None where that was a stream.
Script = Generator[Step, Any, None]


def steps() -> Script:
    """Yield the calls in their order. What each was answered is to be sent back: the next may need it."""
    yield Step("agent:planner", "a plan", chat("sim/chat", ("system", "You plan."), ("user", QUESTION)))
    streamed = {**chat("sim/slow?ttft=300&tps=60", ("user", f"Go on: {QUESTION}")), "stream": True}
    yield Step("agent:planner", "a streamed answer, at the pace of a real one", streamed)
    yield from researching("Find the prices of our plans.")
    yield Step("agent:researcher", "an embedding", {"model": "sim/chat", "input": [QUESTION]}, "/v1/embeddings")
    yield from _limited()
    yield from looping(LOOPS, "Search until you are sure.")
    yield Step("agent:writer", "an error of the provider", chat("sim/error?code=500", ("user", "Write it down.")))
    letter = {"model": "chat", "max_tokens": 80, "messages": [{"role": "user", "content": "Write the letter."}], "stream": True}
    yield Step(
        "agent:writer", "Anthropic's API, streamed", letter, "/sim/v1/messages", headers={"anthropic-version": "2023-06-01"}
    )
    answer = {"model": "sim/chat", "input": "Make it shorter.", "stream": True}
    yield Step("agent:writer", "the Responses API, streamed", answer, "/v1/responses")


def researching(question: str) -> Script:
    """Yield a call that is answered with a call for a tool, and the one that brings the tool's result."""
    asked = chat("sim/tools", ("user", question))
    answer = yield Step("agent:researcher", "a call for a tool", {**asked, "tools": [SEARCH]})
    message = answer["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Small 20, Team 90, Company 300."}
    told = {**asked, "tools": [SEARCH], "messages": [*asked["messages"], message, result]}
    yield Step("agent:researcher/tool:search", "the tool's result", told)


def _limited() -> Script:
    """Try until the rate limit lets the call through, as SDKs do. What the simulated provider decides follows from the request."""
    for attempt in range(1, TRIES + 1):
        body = {**chat(LIMITED, ("user", "Say it in one sentence.")), "metadata": {"attempt": str(attempt)}}
        says = "a call under a rate limit" if attempt == 1 else "the same again, after the wait that was asked for"
        answer = yield Step("agent:writer", says, body, retries=attempt > 1)
        if "error" not in answer:
            return


def looping(turns: int, question: str) -> Script:
    """Yield the calls of an agent that searches again and again."""
    messages: list[Any] = [{"role": "user", "content": question}]
    for turn in range(turns):
        body = {"model": "sim/loop", "messages": list(messages), "tools": [SEARCH]}
        answer = yield Step("agent:researcher/tool:search", f"an agent in a loop, turn {turn + 1}", body)
        message = answer["choices"][0]["message"]
        messages += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Nothing new."}]


def chat(model: str, *said: tuple[str, str]) -> dict[str, Any]:
    """Return the body of a chat in which each of `said` is a role and what it said."""
    return {"model": model, "messages": [{"role": role, "content": content} for role, content in said]}

"""Whatever is asked, there is an answer, and the same one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.sim.answers import answer
from gateway.sim.http import Asked
from gateway.sim.memory import Kept, Memory
from gateway.sim.reading import Setting

PATHS = (
    "/chat/completions",
    "/completions",
    "/responses",
    "/embeddings",
    "/moderations",
    "/messages",
    "/messages/count_tokens",
    "/images/generations",
    "/audio/speech",
    "/audio/transcriptions",
)
SETTING = Setting(seed=1, now=1_790_000_000.0)
ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers(-5, 5) | some.floats(allow_nan=False) | some.text(max_size=5),
    lambda inner: (
        some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(["type", "text", "content", "role", "x"]), inner)
    ),
    max_leaves=8,
)
FIELDS = some.fixed_dictionaries(
    {"model": some.just("chat")},
    optional=dict.fromkeys(
        (
            "messages",
            "input",
            "prompt",
            "tools",
            "tool_choice",
            "response_format",
            "text",
            "n",
            "max_tokens",
            "stream",
            "system",
            "output_config",
        ),
        ANYTHING,
    ),
)


def ask(path, body, *, method="POST", headers=None, memory=None):
    return answer(Asked(method, path, {}, headers or {}, body), SETTING, memory or Memory())


@given(some.sampled_from(PATHS), some.binary(max_size=200))
def test_any_bytes_are_answered(path, body):
    found = ask(path, body)
    assert found.status == 400
    assert "error" in json.loads(found.body)


@given(some.sampled_from(PATHS), FIELDS)
def test_any_json_is_answered(path, fields):
    body = json.dumps(fields).encode()
    found = ask(path, body)
    assert found.status in (200, 400)
    if found.events is None:
        json.loads(found.body)
    else:
        assert b"".join(event.data for event in found.events) == b"".join(event.data for event in ask(path, body).events)


@pytest.mark.parametrize("path", ["/messages", "/models/nothing"])
def test_anthropics_sdk_gets_anthropics_errors(path):
    found = ask(path, b"{", headers={"anthropic-version": "2023-06-01"}, method="GET" if "models" in path else "POST")
    body = json.loads(found.body)
    assert body["type"] == "error"
    assert dict(found.headers)["request-id"] == body["request_id"]


def test_a_schema_that_is_no_schema_is_refused():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": [1]}}}
    body = json.dumps({"model": "loop", "messages": [{"role": "user", "content": "x"}], "tools": [tool]}).encode()
    assert ask("/chat/completions", body).status == 400


def test_another_seed_gives_another_answer():
    body = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "x"}]}).encode()
    asked = Asked("POST", "/chat/completions", {}, {}, body)
    assert answer(asked, SETTING, Memory()).body != answer(asked, Setting(seed=2, now=SETTING.now), Memory()).body


def test_the_memory_is_bounded_and_forgets_the_oldest():
    memory = Memory(most=2)
    for name in ("a", "b", "c"):
        memory.keep(Kept({"id": name}, (), (), 0.0))
    assert memory.find("a") is None
    assert memory.find("c") is not None
    assert memory.forget("c")
    assert not memory.forget("c")


def test_a_form_for_a_model_that_fails_fails():
    body = b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nerror?code=503\r\n--x--\r\n'
    assert ask("/audio/transcriptions", body, headers={"content-type": "multipart/form-data; boundary=x"}).status == 503
    chat = body.replace(b"error?code=503", b"chat")
    assert ask("/audio/transcriptions", chat, headers={"content-type": "multipart/form-data; boundary=x"}).status == 400

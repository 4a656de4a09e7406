"""Chunks that are taken without being parsed say what they would have said."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.apis.choices import _merged
from recorder.apis.merging import Merger
from recorder.apis.repeats import Repeats
from recorder.bodies import json_of


def chunk(delta: dict[str, Any], *, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
    return json.dumps({"id": "c1", "model": "gpt", "choices": [choice], **more}, separators=(",", ":")).encode()


def parsed_one_by_one(stream: list[bytes]) -> dict[str, Any]:
    merger = Merger("chat.completion")
    for data in stream:
        value = json_of(data)
        if isinstance(value, dict):
            merger.add(value)
    return merger.answer()


def merged(stream: list[bytes]) -> dict[str, Any]:
    answer, _, _ = _merged(stream, "chat.completion")
    return answer


def taken(stream: list[bytes]) -> list[bool]:
    """Return of each chunk whether it was taken without being parsed."""
    merger, repeats = Merger("chat.completion"), Repeats()
    found = []
    for data in stream:
        found.append(bool(repeats.took([data])))
        if not found[-1]:
            value = json_of(data)
            assert isinstance(value, dict)
            merger.add(value)
            repeats.learn(data, value, merger)
    return found


TEXTS = ["A", " fare", ' "gate"', "\\", "\n", "", "é\N{WHALE}", '"}},{"', "\x00"]


@pytest.mark.parametrize(
    "stream",
    [
        [chunk({"content": text}) for text in TEXTS],
        [chunk({"role": "assistant", "content": text}) for text in TEXTS],
        [chunk({"content": None, "reasoning_content": text}) for text in TEXTS],
        [chunk({"content": text}, obfuscation="x" * number) for number, text in enumerate(TEXTS)],
        [chunk({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}) for text in TEXTS],
    ],
)
def test_text_alone_is_taken_and_says_the_same(stream):
    assert taken(stream) == [False] + [True] * (len(stream) - 1)
    assert merged(stream) == parsed_one_by_one(stream)


@pytest.mark.parametrize(
    "second",
    [
        chunk({"content": "b"}, index=1),
        chunk({"content": "b"}, model="other"),
        chunk({"content": ["b"]}),
        chunk({"content": "b", "refusal": "c"}),
        chunk({"content": "b"})[:-1],
        chunk({"content": "b"}) + b" ",
        chunk({"content": "b"}).replace(b'"b"', b'"\x01"'),
        chunk({"content": "b"}).replace(b'"b"', b'"\\ud800"'),
        chunk({"content": "b"}).replace(b'"b"', b'"b","content":"c"'),
    ],
)
def test_a_chunk_that_says_more_is_parsed(second):
    stream = [chunk({"content": "a"}), second, chunk({"content": "c"})]
    assert not taken_second(stream)
    assert merged(stream) == parsed_one_by_one(stream)


def taken_second(stream: list[bytes]) -> bool:
    merger, repeats = Merger("chat.completion"), Repeats()
    value = json_of(stream[0])
    assert isinstance(value, dict)
    merger.add(value)
    repeats.learn(stream[0], value, merger)
    return bool(repeats.took(stream[1:2]))


@pytest.mark.parametrize(
    "first",
    [
        b'{"choices":[{"index":0,"delta":{"content":"a","content":"b"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"a"}}],"more":{"content":"b"}}',
        b'{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}',
        b'{"choices":[{"index":0,"text":"a","delta":{"content":"b"}}]}',
        b'{"choices":[{"index":[],"delta":{"content":"b"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":NaN}}]}',
    ],
)
def test_what_is_not_sure_is_not_learned(first):
    answer = merged([first] * 3)
    assert json.dumps(answer) == json.dumps(parsed_one_by_one([first] * 3))


def test_learning_in_vain_ends():
    alternating = [chunk({"content": "a"}, index=number % 2) for number in range(40)]
    assert taken([*alternating, *alternating[:1] * 3]) == [False] * 43


deltas = st.dictionaries(
    st.sampled_from(["content", "reasoning", "role", "refusal"]), st.one_of(st.none(), st.text(max_size=4)), max_size=2
)
chunks = st.builds(
    chunk, deltas, index=st.integers(0, 1), obfuscation=st.text(max_size=3), usage=st.sampled_from([None, {"total_tokens": 3}])
)


@given(st.lists(st.tuples(chunks, st.integers(1, 3)), max_size=12))
def test_any_stream_says_the_same(runs):
    stream = [data for data, times in runs for _ in range(times)]
    assert merged(stream) == parsed_one_by_one(stream)

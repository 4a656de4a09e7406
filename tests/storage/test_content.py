"""Bodies as they are stored: exact, small, and never a reason to lose a call."""

import gzip
import hashlib
import json
from dataclasses import fields, replace

import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from domain.calls import Usage
from domain.spans import Content, Span
from storage.content import LARGEST_PLAIN, ContentPacker
from storage.dictionary import FIRST
from storage.packing import packed, unpacked
from storage.span_rows import LONGEST_TEXT, detail_of, number, row_of, span_of, word
from tests.storage.samples import a_content, a_span

# Any text, halves of surrogate pairs included, and integers of any size.
TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
PACKER = ContentPacker()


def exact(value) -> str:
    """Return text that differs wherever two values do: to Python 1, 1.0 and True are equal."""
    return repr(value)


@given(JSON)
def test_any_json_is_packed_and_unpacked_exactly(value) -> None:
    assert exact(unpacked(packed(value))) == exact(value)


@given(JSON, JSON, st.binary(), st.lists(st.tuples(TEXT, TEXT)), st.booleans())
def test_any_content_comes_back_exactly(asked, answered, body, headers, plain) -> None:
    request = json.dumps(asked).encode() if plain else body
    content = Content(tuple(headers), tuple(headers[:1]), request, body, asked, answered, body[:8])
    assert exact(PACKER.unpacked(PACKER.packed(content))) == exact(content)


@given(JSON)
def test_any_usage_and_cost_come_back_exactly(raw) -> None:
    span = a_span(usage=Usage(input_tokens=1, raw=raw), cost_lines=({"line": raw},))
    assert exact(span_of(detail_of(span))) == exact(span)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"n": 1}', {"n": True}),
        (b'{"n": 1}', {"n": 1.0}),
        (b'{"n": 0.0}', {"n": -0.0}),
        (b'{"a": 1, "b": 2}', {"b": 2, "a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 1}),
        (b"null", None),
        (b"nothing", None),
        (b"[1e400]", [float("inf")]),
        (b'"\\ud83d"', "\ud83d"),
        (b"", ""),
        (b"5", 5),
        (str(2**80).encode(), 2**80),
    ],
)
def test_a_value_that_only_looks_like_the_body_is_kept_itself(body: bytes, value) -> None:
    content = Content(request=body, response=body, input=value, output=value)
    assert exact(PACKER.unpacked(PACKER.packed(content))) == exact(content)


def noise(size: int) -> str:
    """Return text that does not get smaller by much."""
    return "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(size))


@pytest.mark.parametrize("indent", [None, 2])
def test_the_json_of_a_body_is_not_stored_twice(indent: int | None) -> None:
    value = {"messages": [{"role": "user", "content": noise(3000)}], "temperature": 0.25}
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode()
    once = PACKER.packed(Content(request=body, response=b""))
    both = PACKER.packed(Content(request=body, response=b"", input=value))
    assert len(both) - len(once) < 32
    assert PACKER.unpacked(both).input == value


def test_the_merged_output_of_a_stream_is_stored_beside_it() -> None:
    stream = (
        b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\ndata: {"choices":[{"delta":{"content":"lo"}}]}\n\ndata: [DONE]\n\n'
    )
    content = replace(a_content(), response=stream, output={"choices": [{"message": {"content": "Hello"}}]})
    assert PACKER.unpacked(PACKER.packed(content)) == content


def test_compressed_bodies_stay_as_they_passed_and_are_not_stored_twice() -> None:
    value = {"content": noise(3000)}
    body = gzip.compress(json.dumps(value, ensure_ascii=False).encode())
    content = Content(response=body, output=value)
    once, both = PACKER.packed(replace(content, output=None)), PACKER.packed(content)
    assert len(both) - len(once) < 32
    assert PACKER.unpacked(both) == content


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"[1, 2]", mtime=0)[:-9],
        b"\x1f\x8b",
        b"\x1f\x8bnot gzip",
        gzip.compress(b" " * (LARGEST_PLAIN + 1) + b"1", mtime=0),
    ],
)
def test_a_compressed_body_that_cannot_be_read_again_is_not_relied_on(body: bytes) -> None:
    content = Content(response=body, output=[1, 2])
    assert PACKER.unpacked(PACKER.packed(content)) == content


def test_an_ordinary_call_is_stored_in_a_fraction_of_its_size() -> None:
    content = a_content(text="Tell me about the history of fare gates. " * 40)
    assert len(PACKER.packed(content)) < (len(content.request) + len(content.response)) / 3


@pytest.mark.parametrize("data", [b"", b"x", b"1", b"1\x28\xb5\x2f\xfd", PACKER.packed(a_content())[:-5]])
def test_damaged_content_is_said_to_be_damaged(data: bytes) -> None:
    with pytest.raises(ValueError, match="stored content"):
        PACKER.unpacked(data)


@pytest.mark.parametrize("data", [b"", b"zzz"])
def test_a_form_of_a_newer_version_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="newer version"):
        unpacked(data)


def test_rows_of_the_first_version_can_still_be_read() -> None:
    """`detail` is by position: whoever adds a field to Span, Usage or Labels anywhere but at the end breaks what users have stored."""
    span = span_of(bytes.fromhex(FIRST_VERSION))
    assert span == a_span(id="0199cfa0c400" + "7" + "0" * 19)


def test_contents_of_the_first_version_can_still_be_read() -> None:
    """They refer to the dictionary, so that not a letter of it may change."""
    assert PACKER.unpacked(bytes.fromhex(FIRST_CONTENT)) == a_content()
    assert hashlib.sha256(FIRST.as_bytes()).hexdigest() == FIRST_DICTIONARY


def test_a_row_that_lacks_the_newest_fields_gets_their_defaults() -> None:
    span = a_span(cost_lines=({"usd": "1"},), notes=("note",))
    values = unpacked(detail_of(span))
    older = values[: [field.name for field in fields(Span)].index("notes")]
    assert span_of(packed(older)) == replace(span, cost_lines=(), notes=())


@pytest.mark.parametrize("text", ["plain", "", "é東🚉", "x" * LONGEST_TEXT])
def test_ordinary_text_stands_in_its_column_as_it_is(text: str) -> None:
    assert word(text) == text


@given(TEXT, TEXT)
def test_different_texts_stand_in_columns_differently_and_fit(one: str, other: str) -> None:
    assert (word(one) == word(other)) == (one == other)
    for text in (word(one), word(other)):
        assert "\0" not in text
        assert len(text.encode()) < 900


def test_long_texts_with_one_beginning_differ_in_their_column() -> None:
    assert word("x" * 300) != word("x" * 301)


@pytest.mark.parametrize(("value", "column"), [(None, None), (0, 0), (2**63 - 1, 2**63 - 1), (2**63, None), (-(2**70), None)])
def test_a_number_too_large_for_its_column_is_unknown_to_sums(value: int | None, column: int | None) -> None:
    assert number(value) == column


def test_an_unknown_cost_is_not_zero() -> None:
    assert row_of(a_span(cost=None, cost_status="unknown"))[16] is None


FIRST_VERSION = (
    "6ddc0025d9203031393963666130633430303730303030303030303030303030303030303030d920303139396366613063343030373030"
    "3030303030303030303030303030303030b031653332373530313138663733363536c0a764656661756c74a26b31a26369a463686174a4"
    "504f5354b42f76312f636861742f636f6d706c6574696f6e73a66f70656e6169ab6770742d346f2d6d696e69b66770742d346f2d6d696e"
    "692d323032342d30372d3138c2a26f6bccc8c0cf186cc6acd4b00000cb40934a0000000000cb4079a40000000000c0c0cb3fd999999999"
    "999adc001ecd04b0cd0400c0c0c0c0c0c0c0c0c0c050c0c0c0c0c0c0c08090c0c0c0c0c2a870726f76696465729081ad70726f6d70745f"
    "746f6b656e73cd04b0ce13d92d40a56578616374b367656e61692d70726963657320302e302e34309cc0c0c0c0c0c0c0c080c0c0909186"
    "a8757073747265616da66f70656e6169aa63726564656e7469616ca131a26174cf186cc6acd4b00000a6737461747573ccc8ad66697273"
    "745f627974655f7573ce00062e08a56572726f72c09091a473746f70cd032ccd05faa466756c6c909090"
)
FIRST_CONTENT = (
    "3128b52ffd60a400bd0500940596c48a6d929392a4486f7374ae92acb092ada32a2a2a9392ac2d54aaa3613d31623d32c465222c205361"
    "792068656c6c6f2e227d5d2c2020302e357dc49e3148656c6c6f21227d0a7dc4081027000000010000c4013dc4013d1e009c8002ab7b9f"
    "90d90202072ccf81c239c2c39d07dc800fe44e01152fbcd20195e6e17605d2866c1fb9b400cf322b59a4864013f00237c0024d0167b8dc"
    "23e89987f406b76bd5c79b7b32233f7820401605bc96939c61e992e117"
)
FIRST_DICTIONARY = "6dad8d5f4ec08679bf99eb14c6aa7be02f40e0a06ea1401a9eeac81e556a05a9"


@given(JSON)
def test_what_is_known_to_be_the_bodys_is_stored_once_and_comes_back(value) -> None:
    body = json.dumps(value).encode()
    try:
        parsed = msgspec.json.decode(body)
    except msgspec.DecodeError:
        reject()
    known = Content(request=body, response=body, input=parsed, output=parsed, input_is_body=True, output_is_body=True)
    assert exact(PACKER.unpacked(PACKER.packed(known))) == exact(known)

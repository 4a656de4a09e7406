"""What a body asks for, and edits that touch nothing but what they name."""

import json
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from domain.errors import InvalidRequest
from gateway.wire.peek import (
    DECIDING,
    UNKNOWN,
    asked_in,
    edited,
    members,
    model_edit,
    removal_edit,
    usage_edit,
)

# Bodies as apps could write them: the same JSON in any spelling

SPACES = ("", "", "", " ", "\n", "\t", "\r\n  ")
NAMES = st.one_of(
    st.sampled_from(["model", "stream", "stream_options", "faregate", "messages", "n", "mode", 'x"model', "modèle", ""]),
    st.text(max_size=8),
)
TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(['"model": "x"', "a/b", "{", "]", "\\", '\\"', ",", "stream_options", "💡"])
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=6)
SPELLINGS = st.randoms(use_true_random=False)


def space(spelling: Random) -> str:
    return spelling.choice(SPACES)


def spelled_text(text: str, spelling: Random) -> str:
    """Write a string in one of the many ways in which JSON allows it."""
    parts = []
    for character in text:
        plain = json.dumps(character, ensure_ascii=False)[1:-1]
        unusual = "".join(f"\\u{unit:04{spelling.choice('xX')}}" for unit in _utf16(character))
        parts.append(unusual if spelling.random() < 0.15 else plain)
    return '"' + "".join(parts) + '"'


def _utf16(character: str) -> list[int]:
    units = character.encode("utf-16-be")
    return [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]


def spelled(value, spelling: Random) -> str:
    """Write a JSON value with odd spaces and odd escapes."""
    if isinstance(value, str):
        return spelled_text(value, spelling)
    if isinstance(value, list):
        inner = ",".join(space(spelling) + spelled(each, spelling) + space(spelling) for each in value)
        return f"[{inner}]"
    if isinstance(value, dict):
        return "{" + ",".join(member_text(name, each, spelling) for name, each in value.items()) + "}"
    return json.dumps(value)


def member_text(name: str, value, spelling: Random) -> str:
    gap = f"{space(spelling)}:{space(spelling)}"
    return f"{space(spelling)}{spelled_text(name, spelling)}{gap}{spelled(value, spelling)}{space(spelling)}"


class Written:
    """An object written out, of whose members the test knows where they stand, without asking the code under test."""

    def __init__(self, value: dict, spelling: Random) -> None:
        self.parts: list[tuple[str, str, str, str]] = []
        self.value = value
        self.before, self.after = space(spelling) + "{", "}" + space(spelling)
        for name, each in value.items():
            gap = f"{space(spelling)}:{space(spelling)}"
            head = f"{spelled_text(name, spelling)}{gap}"
            self.parts.append((space(spelling), head, spelled(each, spelling), space(spelling)))

    def body(self, change: str | None = None, new_value: str = "") -> bytes:
        """Return the bytes; the value of the member `change` is `new_value` instead."""
        members = []
        for name, (before, head, value, after) in zip(self.value, self.parts, strict=True):
            members.append(before + head + (new_value if name == change else value) + after)
        return (self.before + ",".join(members) + self.after).encode()


WRITTEN = st.builds(Written, OBJECTS, SPELLINGS)


def written_with(**fixed) -> st.SearchStrategy[Written]:
    """Return objects that have these members somewhere among others."""

    def shuffled(others: dict, spelling: Random) -> Written:
        names = list({**others, **fixed})
        spelling.shuffle(names)
        return Written({name: {**others, **fixed}[name] for name in names}, spelling)

    return st.builds(shuffled, OBJECTS, SPELLINGS)


# Reading


@given(WRITTEN)
def test_what_is_read_is_what_a_json_parser_reads(written):
    body, value = written.body(), written.value

    asked = asked_in(body)

    if asked is UNKNOWN:
        # msgspec is stricter than json about lone surrogates; what cannot be read is passed on unread.
        assert "\\ud" in body.decode().lower()
        return
    model, stream, options = value.get("model"), value.get("stream"), value.get("stream_options")
    assert asked.model == (model if isinstance(model, str) else None)
    assert asked.stream == (stream if isinstance(stream, bool) else None)
    assert asked.usage_asked == (isinstance(options, dict) and options.get("include_usage") is True)
    assert asked.labels == value.get("faregate", UNSET)


@given(WRITTEN)
def test_members_are_found_where_they_stand(written):
    body = written.body()

    found = members(body)

    assert [body[member.start : member.end] for member in found] == [
        (head + value).encode() for _, head, value, _ in written.parts
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'["model"]',
        b'"model"',
        b"12",
        b"{",
        b'{"model":',
        b'{"model":"a"',
        b"{'model':'a'}",
        b'{"model":"a",}',
        b'{"model":"a"} {"model":"b"}',
        b'{"model":NaN}',
        b'{"temperature":NaN,"model":"a"}',
        b'{"top_p":Infinity}',
        b'{"model":"\xff\xfe"}',
        b'\xef\xbb\xbf{"model":"a"}',
        b'{"model":"a" /* why */}',
        b"\x00\x01\x02",
        b'--boundary\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1',
    ],
)
def test_what_is_no_json_object_is_unknown_and_no_error(body):
    assert asked_in(body) == UNKNOWN


@pytest.mark.parametrize(
    ("body", "model", "stream"),
    [
        (b"{}", None, None),
        (b'{"model":"gpt-4o","stream":true}', "gpt-4o", True),
        (b' \r\n\t{ "model" : "gpt-4o" }', "gpt-4o", None),
        (b'{"model":null,"stream":null}', None, None),
        (b'{"model":7,"stream":"true"}', None, None),
        (b'{"model":["a"],"stream":1}', None, None),
        (b'{"mod\\u0065l":"escaped"}', "escaped", None),
        (b'{"model":"caf\\u00e9 \\ud83d\\ude00"}', "café 😀", None),
        (b'{"messages":[{"model":"inner"}]}', None, None),
        (b'{"model":"a","metadata":{"model":"b","stream":false}}', "a", None),
    ],
)
def test_model_and_stream(body, model, stream):
    asked = asked_in(body)

    assert (asked is not UNKNOWN, asked.model, asked.stream) == (True, model, stream)


@pytest.mark.parametrize("depth", [2_000, 100_000])
def test_a_body_that_is_nested_too_deep_is_refused_or_unknown_but_never_a_crash(depth):
    body = b'{"model":"a","x":' + b"[" * depth + b"]" * depth + b"}"

    with pytest.raises(InvalidRequest, match="nested too deep"):
        asked_in(body)


def test_deep_nesting_is_refused_in_objects_as_in_arrays():
    body = b'{"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"

    with pytest.raises(InvalidRequest):
        asked_in(body)


# Doubles


@pytest.mark.parametrize("name", sorted(DECIDING))
@pytest.mark.parametrize(
    ("first", "second"),
    [("1", "2"), ("true", "true"), ('"a"', "null"), ("null", '"a"'), ("null", "null")],
    ids=["two", "same", "null last", "null first", "both null"],
)
def test_a_deciding_field_that_is_there_twice_is_refused(name, first, second):
    body = f'{{"{name}":{first},"messages":[],"{name}":{second}}}'.encode()

    with pytest.raises(InvalidRequest) as caught:
        asked_in(body)
    assert caught.value.param == name
    assert f"`{name}`" in caught.value.message


@given(st.sampled_from(sorted(DECIDING)), OBJECTS, VALUES, VALUES, SPELLINGS)
@example("model", {}, "cheap", "dear", Random(1))
def test_doubles_are_refused_however_they_are_spelled(name, others, first, second, spelling):
    pairs = [*((key, value) for key, value in others.items() if key != name), (name, first), (name, second)]
    spelling.shuffle(pairs)
    body = "{" + ",".join(member_text(key, value, spelling) for key, value in pairs) + "}"

    with pytest.raises(InvalidRequest):
        asked_in(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"model":"b"},{"model":"c"}]}',
        b'{"model":"m","content":"\\"model\\": \\"b\\""}',
        b'{"model":"m","stop":["model","model"]}',
        b'{"model":"m","metadata":{"x":1,"x":2}}',
        b'{"user":"a","user":"b","model":"m"}',
    ],
)
def test_a_name_that_is_twice_elsewhere_is_no_double(body):
    assert asked_in(body) is not UNKNOWN


# Editing


@given(written_with(model="groq/llama"), st.text(max_size=10).filter(lambda text: text.isprintable()))
def test_only_the_models_value_changes(written, model):
    body = written.body()

    edit = model_edit(body, "groq/llama", model)

    assert edit is not None
    after = edited(body, [edit])
    assert after == written.body("model", edit[2].decode())
    assert json.loads(edit[2]) == model


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (b'{"model":"groq/a","m":{"model":"groq/a"}}', b'{"model":"a","m":{"model":"groq/a"}}'),
        (b'{"m":{"model":"groq/a"},"model":"groq/a"}', b'{"m":{"model":"groq/a"},"model":"a"}'),
        (b'{"m":{"model":"groq/a"},"mod\\u0065l":"groq/a"}', b'{"m":{"model":"groq/a"},"mod\\u0065l":"a"}'),
        (b'{ "model"\n:\t"groq\\/a" }', b'{ "model"\n:\t"a" }'),
        (b'{"x":"\\"model\\":\\"groq/a\\"","model":"groq/a"}', b'{"x":"\\"model\\":\\"groq/a\\"","model":"a"}'),
        (b'{"x\\"model":"groq/a","mod\\u0065l":"groq/a"}', b'{"x\\"model":"groq/a","mod\\u0065l":"a"}'),
    ],
)
def test_the_top_level_model_is_the_one_that_changes(body, after):
    edit = model_edit(body, "groq/a", "a")

    assert edit is not None
    assert edited(body, [edit]) == after


@given(written_with(stream=True).filter(lambda written: "stream_options" not in written.value))
def test_usage_is_asked_for_where_there_are_no_options_and_nothing_else_changes(written):
    body = written.body()
    asked = asked_in(body)
    if asked is UNKNOWN:
        return

    edit = usage_edit(body, asked)

    assert edit is not None
    assert edit[0] == edit[1]  # something is put in, nothing is taken out
    after = json.loads(edited(body, [edit]))
    assert after == json.loads(body) | {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":true,"metadata":{"stream_options":1}}',
        b'{"stream":true,"x\\"stream_options":1}',
        b'{"stop":["stream_options"],"stream":true}',
        b'\n{ "stream":true}',
    ],
)
def test_usage_is_asked_for_also_where_the_name_stands_elsewhere(body):
    edit = usage_edit(body, asked_in(body))

    assert edit is not None
    assert json.loads(edited(body, [edit]))["stream_options"] == {"include_usage": True}


def test_escaped_options_are_not_put_in_twice():
    body = b'{"stream":true,"stream_option\\u0073":null}'

    edit = usage_edit(body, asked_in(body))

    assert edit is not None
    assert edited(body, [edit]) == b'{"stream":true,"stream_option\\u0073":{"include_usage":true}}'


OPTIONS = st.one_of(st.none(), st.dictionaries(st.sampled_from(["include_usage", "other"]), st.one_of(st.just(False), TEXTS)))


@given(OPTIONS.flatmap(lambda options: written_with(stream=True, stream_options=options)))
def test_usage_is_asked_for_in_the_options_that_are_there(written):
    body = written.body()
    asked = asked_in(body)
    if asked is UNKNOWN:
        return

    edit = usage_edit(body, asked)

    assert edit is not None
    after = edited(body, [edit])
    assert after == written.body("stream_options", edit[2].decode())
    options = json.loads(body)["stream_options"] or {}
    assert json.loads(after)["stream_options"] == options | {"include_usage": True}


@pytest.mark.parametrize("options", [b'"yes"', b"7", b"[]", b"true"])
def test_options_that_the_provider_will_refuse_are_left_for_it_to_refuse(options):
    body = b'{"stream":true,"stream_options":' + options + b"}"

    assert usage_edit(body, asked_in(body)) is None


@given(written_with(faregate={"session": "s-1"}))
def test_our_field_is_taken_out_with_its_comma_and_nothing_else(written):
    body = written.body()
    place = list(written.value).index("faregate")
    _, head, value, _ = written.parts[place]
    own = (head + value).encode()

    edit = removal_edit(body, "faregate")

    assert edit is not None
    start, end, put = edit
    assert put == b""
    assert body[start:end].replace(own, b"", 1).strip() in {b"", b","}
    after = edited(body, [edit])
    assert json.loads(after) == {name: each for name, each in json.loads(body).items() if name != "faregate"}


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (b'{"faregate":{}}', b"{}"),
        (b'{ "faregate" : {"a":[1,2]} }', b"{  }"),
        (b'{"faregate":{}, "model":"a"}', b'{"model":"a"}'),
        (b'{"model":"a", "faregate":{}}', b'{"model":"a"}'),
        (b'{"model":"a","faregate":"}","n":1}', b'{"model":"a","n":1}'),
        (b'{"model":"a","f\\u0061regate":{},"n":1}', b'{"model":"a","n":1}'),
        (b'{"messages":[{"faregate":1}],"faregate":{}}', b'{"messages":[{"faregate":1}]}'),
    ],
)
def test_our_field_is_taken_out_wherever_it_stands(body, after):
    edit = removal_edit(body, "faregate")

    assert edit is not None
    assert edited(body, [edit]) == after


def test_nothing_is_taken_out_where_nothing_is():
    assert removal_edit(b'{"model":"a","x":{"faregate":1}}', "faregate") is None
    assert model_edit(b'{"x":{"model":"a"},"y":{"model":"a"}}', "a", "b") is None


@given(written_with(model="groq/a", stream=True, faregate={"run": "r"}))
def test_all_edits_at_once(written):
    body = written.body()
    asked = asked_in(body)
    if asked is UNKNOWN or (written.value.get("stream_options") is not None and not isinstance(asked.stream_options, dict)):
        return
    edits = [model_edit(body, "groq/a", "a"), usage_edit(body, asked), removal_edit(body, "faregate")]

    after = json.loads(edited(body, [edit for edit in edits if edit is not None]))

    before = json.loads(body)
    options = before.get("stream_options") or {}
    expected = before | {"model": "a", "stream_options": options | {"include_usage": True}}
    del expected["faregate"]
    assert after == expected


def test_without_edits_the_body_is_the_very_same():
    body = b'{ "model": "a" }'

    assert edited(body, []) is body

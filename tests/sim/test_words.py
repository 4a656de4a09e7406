"""Tokens, chance and made-up values: the parts that every simulated answer is made of."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.sim.dice import Dice, digest_of
from gateway.sim.models import UnknownModel, WrongOption, model_named
from gateway.sim.schemas import Maker
from gateway.sim.words import count, pieces, speech


@given(some.text())
def test_the_pieces_of_a_text_are_the_text(text):
    assert "".join(pieces(text)) == text
    assert count(text) == len(pieces(text))


@given(some.integers(1, 400), some.binary(min_size=1, max_size=64))
def test_speech_has_as_many_tokens_as_asked(tokens, key):
    assert count(speech(Dice(key), tokens)) == tokens


def test_chance_repeats_and_differs_by_key():
    assert [Dice(b"a").below(100) for _ in range(2)] == [Dice(b"a").below(100)] * 2
    first, second = Dice(digest_of(1, b"x")), Dice(digest_of(2, b"x"))
    assert [first.bits() for _ in range(4)] != [second.bits() for _ in range(4)]
    assert digest_of(1, b"ab", b"c") != digest_of(1, b"a", b"bc")
    assert re.fullmatch(r"[0-9a-f]{48}", Dice(b"k").hexadecimal(48))
    assert all(0 <= Dice(bytes([key])).unit() < 1 for key in range(256))


def test_a_models_options_are_read():
    model = model_named("slow?ttft=800&tps=20")
    assert (model.ttft, model.gap) == (0.8, 0.05)
    assert model_named("sim/slow") == model
    assert model_named("error?code=429&rate=0.1").error_code == 429
    assert model.takes(20) == pytest.approx(1.8)


@pytest.mark.parametrize("asked", ["gpt-4o", "", "sim/", "echo2"])
def test_an_unknown_name_is_no_model(asked):
    with pytest.raises(UnknownModel):
        model_named(asked)


@pytest.mark.parametrize(
    "asked", ["echo?code=500", "slow?tps=0", "slow?tps=fast", "error?rate=2", "slow?ttft=nan", "chat?tokens="]
)
def test_a_wrong_option_is_refused(asked):
    with pytest.raises(WrongOption):
        model_named(asked)


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "integer", "minimum": 3, "maximum": 3}, lambda value: value == 3),
        ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}, lambda value: value == 4),
        ({"type": "integer", "maximum": -7}, lambda value: value <= -7),
        ({"type": "number", "minimum": 0.1, "maximum": 0.2}, lambda value: 0.1 <= value <= 0.2),
        ({"type": "integer", "multipleOf": 5, "minimum": 11}, lambda value: value % 5 == 0 and value >= 11),
        ({"type": "string", "minLength": 20, "maxLength": 30}, lambda value: 20 <= len(value) <= 30),
        ({"type": "string", "maxLength": 2}, lambda value: len(value) <= 2),
        ({"type": "string", "format": "date"}, lambda value: re.fullmatch(r"\d{4}-\d\d-\d\d", value)),
        ({"const": {"a": 1}}, lambda value: value == {"a": 1}),
        ({"enum": [None, 2]}, lambda value: value in (None, 2)),
        ({"type": ["null", "string"]}, lambda value: value is None),
        ({"type": "boolean"}, lambda value: isinstance(value, bool)),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 4}, lambda value: len(value) == 4),
        ({"type": "array", "maxItems": 1}, lambda value: len(value) <= 1),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}]}, lambda value: value == [1, 2]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, lambda value: isinstance(value, int)),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
            lambda value: value == {"a": 1, "b": 2},
        ),
        ({"$ref": "#/$defs/it", "$defs": {"it": {"const": "here"}}}, lambda value: value == "here"),
        ({"$ref": "#/$defs/missing"}, lambda value: isinstance(value, str)),
        (True, lambda value: isinstance(value, str)),
    ],
)
def test_a_made_value_fits_its_schema(schema, fits):
    for key in range(10):
        assert fits(Maker(schema, Dice(bytes([key + 1]))).value())


def test_a_recursive_schema_ends():
    node = {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        "required": ["value", "next"],
    }
    value = Maker({"$ref": "#/$defs/node", "$defs": {"node": node}}, Dice(b"x")).value()
    depth = 0
    while value is not None:
        value, depth = value["next"], depth + 1
    assert 1 < depth < 20

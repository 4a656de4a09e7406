"""Each model's tokens are estimated by the right tokenizer and factor."""

import tomllib
from datetime import date

import pytest

from pricing.tokens.families import family_of
from pricing.tokens.ranks import FOLDER, RANKS


@pytest.mark.parametrize(
    ("model", "method"),
    [
        ("gpt-4o", "tiktoken:o200k"),
        ("gpt-4o-mini-2024-07-18", "tiktoken:o200k"),
        ("ft:gpt-4o-mini:acme::1", "tiktoken:o200k"),
        ("gpt-4.1", "tiktoken:o200k"),
        ("ft:gpt-4.1-nano:acme::1", "tiktoken:o200k"),
        ("gpt-4.5-preview", "tiktoken:o200k"),
        ("chatgpt-4o-latest", "tiktoken:o200k"),
        ("gpt-5.2", "tiktoken:o200k"),
        ("gpt-6-astra", "tiktoken:o200k"),
        ("openai/gpt-6.1-sol", "tiktoken:o200k"),
        ("o4-mini", "tiktoken:o200k"),
        ("codex-mini-latest", "tiktoken:o200k"),
        ("gpt-realtime", "tiktoken:o200k"),
        ("gpt-audio", "tiktoken:o200k"),
        ("openai/gpt-oss-120b", "tiktoken:o200k"),
        ("gpt-4", "tiktoken:cl100k"),
        ("gpt-4-turbo-2024-04-09", "tiktoken:cl100k"),
        ("gpt-4-0613", "tiktoken:cl100k"),
        ("gpt-3.5-turbo", "tiktoken:cl100k"),
        ("ft:gpt-3.5-turbo:acme::1", "tiktoken:cl100k"),
        ("gpt-35-turbo", "tiktoken:cl100k"),
        ("text-embedding-3-small", "tiktoken:cl100k"),
        ("azure/text-embedding-ada-002", "tiktoken:cl100k"),
        ("claude-3-5-sonnet-20241022", "tiktoken:o200k*1.15"),
        ("claude-sonnet-4-5", "tiktoken:o200k*1.15"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "tiktoken:o200k*1.15"),
        ("claude-opus-4-8", "tiktoken:o200k*1.43"),
        ("anthropic/claude-sonnet-5-5", "tiktoken:o200k*1.43"),
        ("models/gemini-2.5-pro", "tiktoken:o200k*1.04"),
        ("publishers/google/models/gemini-4-argon", "tiktoken:o200k*1.04"),
        ("mistral-large-2512", "tiktoken:o200k*1.07"),
        ("codestral-latest", "tiktoken:o200k*1.07"),
        ("meta-llama/Llama-4-Scout", "tiktoken:o200k*1.04"),
        ("accounts/fireworks/models/llama-v3p3-70b", "tiktoken:o200k*1.04"),
        ("deepseek-reasoner", "tiktoken:o200k*1.03"),
        ("amazon.nova-pro-v1:0", "tiktoken:o200k*1.02"),
        ("qwen3-max", "tiktoken:o200k*1.1"),
        ("my-deployment", "tiktoken:o200k*1.1"),
        (None, "tiktoken:o200k*1.1"),
    ],
)
def test_a_models_input_is_counted_by(model, method):
    assert family_of(model).method(output=False) == method


def test_the_output_of_reasoning_models_has_a_factor_of_its_own():
    assert family_of("gpt-5").method(output=True) == "tiktoken:o200k*1.05"
    assert family_of("gpt-5").hides_reasoning
    assert not family_of("gpt-4o").hides_reasoning


def test_scaling_rounds_up():
    assert family_of("claude-sonnet-4-5").scaled(1, output=True) == 2
    assert family_of("claude-sonnet-4-5").scaled(100, output=True) == 115
    assert family_of("gpt-4o").scaled(7, output=True) == 7


@pytest.mark.parametrize(
    "model",
    ["a" * 10_000_000, "/" * 1_000_000, "ft:" * 300_000, "\n/gpt-4", "\ud800"],
    ids=["long", "path", "ft", "line", "half"],
)
def test_a_hostile_name_is_the_name_of_some_model(model):
    assert family_of(model).encoding in RANKS


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gemini-2.5-pro", "llama-3", "who-knows"])
def test_only_a_public_tokenizer_bounds_a_bill(model):
    assert not family_of(model).exact
    assert family_of("gpt-4o").exact


@pytest.mark.parametrize(("name", "table"), [("families", "family"), ("images", "image")])
def test_each_figure_says_where_it_is_from_and_when_it_was_read(name, table):
    rows = tomllib.loads((FOLDER / f"{name}.toml").read_text())[table]
    assert len(rows) > 5
    assert [row for row in rows if not (row["source"] and isinstance(row["read"], date))] == []

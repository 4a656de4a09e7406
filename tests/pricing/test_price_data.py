"""The files of prices: what each entry must say, and what the book makes of them."""

import datetime as dt
import tomllib
from pathlib import Path

import pytest

from pricing import compiling
from pricing.book import PriceBook
from pricing.cards import usd_text
from pricing.corrections import FOLDER, corrections_for, rate_of
from pricing.limits import limits_of
from pricing.names import names_of, provider_of
from pricing.snapshot import Snapshot

FILES = sorted(FOLDER.glob("*.toml"))
NOW = 1_795_000_000 * 10**9
SNAPSHOT = Snapshot.packaged()


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_each_correction_says_where_it_is_from_and_when_that_was_read(file: Path):
    assert file.stem in SNAPSHOT.providers
    entries = tomllib.loads(file.read_text())["prices"]
    assert len(corrections_for(file.stem)) == len(entries)
    for entry in entries:
        assert len(entry["source"]) > 10
        assert dt.date(2026, 11, 1) <= entry["read"] <= dt.date.today()  # noqa: DTZ011 - a day more or less does not matter


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_each_correction_of_a_listed_model_is_of_one_that_is_listed(file: Path):
    """A name that is wrong, or that the list has dropped, would correct nothing."""
    ids = [model.id.lower() for model in SNAPSHOT.models(file.stem)]
    for seller in SNAPSHOT._providers[file.stem].fallback:
        ids += [model.id.lower() for model in SNAPSHOT.models(seller)]
    for one in corrections_for(file.stem):
        names = [
            *ids,
            *(
                glob.removesuffix("*")
                for glob in tomllib.loads(file.read_text())["prices"][int(one.id.partition(":")[2]) - 1]["models"]
            ),
        ]
        known = one.new is not None or any(one.names((name,)) and SNAPSHOT.find(file.stem, name) for name in names)
        follows = any(other.new is not None and one.names((other.new + "-x",)) for other in corrections_for(file.stem))
        assert known or follows or one.same_as is not None, one.id


def test_the_known_errors_of_the_list_are_corrected():
    book = PriceBook.packaged()

    def rates(upstream, model, *units, **how):
        card = book.card(upstream=upstream, model=model, at=NOW, **how)
        return [usd_text((card.rate(unit) or 0) * 10**6) for unit in units]

    assert rates("mistral", "mistral-large-latest", "input", "output") == ["0.5", "1.5"]
    assert rates("openai", "gpt-4o-audio-preview", "input_audio", "output_audio") == ["40", "80"]
    assert rates("bedrock", "anthropic.claude-opus-4-8", "input", "output") == ["5", "25"]
    assert rates("bedrock", "us.anthropic.claude-opus-4-8", "input", "output") == ["5.5", "27.5"]
    assert rates("openai", "gpt-6.1-sol", "cache_write_12h") == ["5"]
    assert rates("openai", "gpt-6.1-sol", "input", tier="ultrafast") == ["12"]
    assert rates("gemini", "gemini-2.5-pro", "input", "output", tier="flex") == ["0.625", "5"]
    assert rates("xai", "grok-code-fast-1", "input", "output") == ["1", "2"]
    assert book.card(upstream="cohere", model="rerank-v3.5", at=NOW).rate("rerank") == 2 * 10**21


def test_rates_are_exact_to_the_last_of_24_places():
    assert rate_of("0.000000000000000001", 1_000_000) == 1
    assert rate_of("0.0833333333", 1_000_000) == 83_333_333_300_000_000
    assert rate_of("0.111", 3_600) == 30_833_333_333_333_333_333
    assert [usd_text(atto) for atto in (0, 1, 10**24, 25 * 10**23, 123 * 10**24)] == [
        "0",
        "0." + "0" * 23 + "1",
        "1",
        "2.5",
        "123",
    ]


@pytest.mark.parametrize(
    ("upstream", "host", "provider"),
    [
        ("openai", None, "openai"),
        ("anything", "api.openai.com/v1", "openai"),
        ("anything", "eu.api.openai.com", "openai"),
        ("openai", "api.anthropic.com", "anthropic"),
        ("openai", "127.0.0.1:9999/v1", "openai"),
        ("vllm", "127.0.0.1:8000/v1", None),
        ("gemini", "generativelanguage.googleapis.com", "google"),
        ("v", "us-central1-aiplatform.googleapis.com", "google"),
        ("b", "bedrock-runtime.us-east-1.amazonaws.com", "aws"),
        ("a", "res.openai.azure.com/openai", "azure"),
        ("a", "res.services.ai.azure.com", "azure"),
        ("h", "router.huggingface.co/groq/openai/v1", "huggingface_groq"),
        ("t", "api.together.ai/v1", "together"),
        ("xai", "api.x.ai/v1", "x-ai"),
        ("nobody", "llm.example.com", None),
        ("", "", None),
        ("\ud800", "\ud800", None),
    ],
)
def test_a_provider_is_known_by_its_address_or_else_by_the_upstreams_name(upstream, host, provider):
    assert provider_of(SNAPSHOT, upstream, host) == provider


@pytest.mark.parametrize(
    ("provider", "upstream", "model", "last"),
    [
        ("google", "gemini", "projects/p/locations/l/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google", "gemini", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("aws", "bedrock", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1%3A0", "amazon.nova-pro-v1:0"),
        ("openai", "openai", "OpenAI/GPT-4o", "gpt-4o"),
        ("openai", "mine", "mine/gpt-4o", "gpt-4o"),
        (None, "vllm", "vllm/llama", "llama"),
    ],
)
def test_names_are_taken_apart_where_their_front_only_says_where_they_are(provider, upstream, model, last):
    names = list(names_of(provider, model, upstream))
    assert names[0].count("/") >= 1
    assert names[-1] == last


@pytest.mark.parametrize(
    ("upstream", "model", "limits"),
    [
        ("openai", "gpt-4o", (128_000, 16_384)),
        ("openai", "gpt-5", (400_000, 128_000)),
        ("openai", "gpt-6.1-sol-2026-10-01", (1_050_000, 128_000)),
        ("gemini", "models/gemini-2.5-pro", (1_048_576, 65_535)),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", (200_000, 64_000)),
        ("azure", "gpt-4o", (128_000, 16_384)),
        ("openai", "gpt-nothing", (None, None)),
        ("vllm", "gpt-4o", (None, None)),
    ],
)
def test_the_limits_of_models_are_known(upstream, model, limits):
    assert limits_of(SNAPSHOT, upstream, None, model) == limits
    assert PriceBook(SNAPSHOT).limits(upstream, None, model) == limits


def test_a_book_gives_the_cards_of_every_tier_for_bounds():
    cards = PriceBook.packaged().cards(upstream="openai", model="gpt-6.1-sol", at=NOW)
    assert [card.tier for card in cards] == ["standard", "flex", "priority", "fast", "batch", "ultrafast"]
    assert PriceBook.packaged().cards(upstream="openai", model="nothing", at=NOW) == ()


def test_a_fetched_list_becomes_the_same_snapshot_as_the_packaged_one_would():
    raw = compiling.raw_list(
        b'[{"id":"mine","api_pattern":"https://api\\\\.mine","models":[{"id":"m","match":{"or":[{"equals":"M"},{"regex":"^n-\\\\d+$"}]},'
        b'"prices":[{"prices":{"input_mtok":0.1}},{"constraint":{"start_date":"2026-01-01"},"prices":{"input_mtok":{"base":0.2,'
        b'"tiers":[{"start":1000,"price":0.4}]}}}],"price_variants":[{"when":{"processing":"batch"},"prices":{"input_mtok":0.05}}]}]}]'
    )
    snapshot = Snapshot.of_files(compiling.compiled(raw, "test 1"))
    book = PriceBook(snapshot)
    address = "api.mine/v1"
    assert book.card(upstream="x", host=address, model="m", at=NOW).rate("input", 1_001) == 4 * 10**17
    assert book.card(upstream="x", host=address, model="n-12", at=0).rate("input") == 10**17
    assert book.card(upstream="x", host=address, model="m", at=NOW, batch=True).rate("input") == 5 * 10**16
    assert book.card(upstream="x", host=address, model="n-x", at=NOW) is None
    assert snapshot.ref.startswith("test@1#")


def test_a_newer_price_in_a_fetched_list_goes_before_an_older_correction():
    listed = (
        '[{"id":"mistral","api_pattern":"https://api","models":[{"id":"mistral-nemo","match":{"equals":"open-mistral-nemo"},"prices":'
        '[{"prices":{"input_mtok":0.15,"output_mtok":0.15}},{"constraint":{"start_date":"2026-12-01"},"prices":{"input_mtok":7,"output_mtok":8}}]}]}]'
    )
    book = PriceBook(Snapshot.of_files(compiling.compiled(compiling.raw_list(listed), "newer")))
    before, after = (int(dt.datetime(2026, month, 2, tzinfo=dt.UTC).timestamp()) * 10**9 for month in (11, 12))
    rates = [book.card(upstream="mistral", model="open-mistral-nemo", at=at).rate("input") for at in (before, after)]
    assert rates == [3 * 10**17, 7 * 10**18]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "nothing",
        '[{"id": "../x", "api_pattern": "x"}]',
        '[{"id": "x"}]',
        '[{"id": "x", "api_pattern": "("}]',
        '[{"id": "x", "api_pattern": "x", "models": [{}]}]',
        '[{"id": "x", "api_pattern": "x", "models": [{"id": "m", "match": {"like": "x"}, "prices": {}}]}]',
        '[{"id": "x", "api_pattern": "x", "models": [{"id": "m", "match": {"equals": "x"}, "prices": {"input_mtok": -1}}]}]',
        '[{"id": "x", "api_pattern": "x", "models": [{"id": "m", "match": {"equals": "x"}, "prices": {"input_mtok": "NaN"}}]}]',
        '[{"id": "x", "api_pattern": "x", "models": [{"id": "m", "match": {"equals": "x"}, "prices": []}]}]',
        '[{"id": "x", "api_pattern": "x", "models": [{"id": "m", "match": {"equals": "x"}, "prices": [{"constraint": {"moon": 1}, "prices": {}}]}]}]',
    ],
)
def test_a_list_that_is_none_is_refused_as_a_whole(text):
    with pytest.raises(compiling.BadPrices):
        compiling.compiled(compiling.raw_list(text), "x")

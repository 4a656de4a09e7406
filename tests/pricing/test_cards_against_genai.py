"""The compiled cards and genai-prices' own engine agree: on which price counts, and on what it comes to."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices.data import providers
from genai_prices.data_units import unit_data
from genai_prices.types import Provider, Usage

from domain.prices import ATTO_PER_USD
from pricing.book import PriceBook
from pricing.cards import card_of
from pricing.costing import charge, rounded
from pricing.quantities import MICROSECONDS
from pricing.resolving import Moment, prices_of
from pricing.snapshot import PACKAGED, Snapshot
from pricing.tiers import Conditions
from pricing.units import GENAI
from tools.price_snapshot import snapshot

USAGES = 5_000
NEARLY = Decimal("1e-12")
BY_ID = {provider.id: provider for provider in providers}
WITH_TIERS = [BY_ID[name] for name in ("openai", "anthropic", "google", "mistral", "groq", "x-ai")]
TIERS_BEGAN = datetime(2026, 10, 14, tzinfo=UTC)
CONTEXTS = (
    ({}, Conditions()),
    ({"processing": "batch"}, Conditions(batch=True)),
    ({"service_tier": "flex"}, Conditions(tier="flex")),
    ({"service_tier": "priority"}, Conditions(tier="priority")),
    ({"speed": "fast"}, Conditions(speed="fast")),
)
UNIT_OF = {key: GENAI[unit["price_key"]][0] for key, unit in unit_data.items() if unit["price_key"] in GENAI}
SECONDS = frozenset(key for key, unit in UNIT_OF.items() if unit == "audio_seconds")


def test_the_packaged_snapshot_is_up_to_date_with_the_genai_prices_that_is_locked():
    """If this fails, run `make prices`."""
    assert {path.name: path.read_bytes() for path in PACKAGED.iterdir()} == snapshot()


@pytest.fixture(scope="module")
def packaged() -> Snapshot:
    return Snapshot.packaged()


def test_every_model_of_every_provider_is_found_under_its_own_id_as_genai_prices_finds_it(packaged):
    wrong = []
    for provider in providers:
        for model in provider.models:
            theirs = provider.find_model(model.id)
            ours = packaged.find(provider.id, model.id)
            if (theirs.id if theirs else None) != (ours[1].id if ours else None):
                wrong.append((provider.id, model.id))
    assert wrong == []


def test_names_that_nobody_knows_are_found_by_neither(packaged):
    for name in ("gpt-4o-2099-01-01", "gpt-5-foo", "prod-chat", "", "x" * 10_000, "gpt-4o\n"):
        assert packaged.find("openai", name) is None


def test_compact_dates_are_found_as_genai_prices_finds_them(packaged):
    assert packaged.find("openai", "gpt-5.2-20251211")[1].id == BY_ID["openai"].find_model("gpt-5.2-20251211").id
    assert packaged.find("openai", "gpt-5.2-20251399") is None


def test_five_thousand_random_usages_cost_the_same_to_the_last_pico_dollar(packaged):
    """Without our corrections, which are there because the list is wrong; models that genai-prices itself refuses to price are left out."""
    chance = random.Random(20261121)
    compared = tiered = special = 0
    while compared < USAGES:
        provider = chance.choice(chance.choice((providers, WITH_TIERS)))
        model = chance.choice(provider.models)
        at = chance.choice((datetime(2025, 1, 1, tzinfo=UTC), TIERS_BEGAN)) + timedelta(
            seconds=chance.randrange(2 * 366 * 86_400)
        )
        context, conditions = chance.choice(CONTEXTS)
        moment = Moment(int(at.timestamp()) * 10**9)
        ours = prices_of(packaged, provider.id, (model.id.lower(),), moment, conditions, "", corrected=False)
        found = provider.find_model(model.id)
        if ours is None or ours.why_not is not None:
            assert found is None if ours is None else context  # some are not found under their own id, by anybody
            continue
        counts = random_counts(chance, found.get_prices(at, context))
        price = found.calc_price(Usage(**counts), provider, genai_request_timestamp=at, price_context=context or None)
        card = card_of(provider=provider.id, model=ours.model, tier="", ref="", rates=ours.rates, span=(ours.since, ours.until))
        atto = charge(card, quantities(counts, card, provider), [])
        assert abs(Decimal(atto) / ATTO_PER_USD - price.total_price) <= NEARLY, (provider.id, model.id, counts, context)
        assert abs(Decimal(rounded(atto)) / 10**12 - price.total_price) <= NEARLY
        assert ours.since <= moment.at < ours.until
        compared += 1
        tiered += card.tiered and counts.get("input_tokens", 0) > 199_999
        special += bool(context)
    assert tiered > 50
    assert special > 100


def random_counts(chance: random.Random, prices) -> dict[str, int | float]:
    """Return usage in the priced units, each part within its whole."""
    priced = {key for key, unit in unit_data.items() if getattr(prices, unit["price_key"], None) is not None}
    dimensions = {key: unit["dimensions"].items() for key, unit in unit_data.items()}
    counts: dict[str, int | float] = {}
    for key in sorted(priced - {"requests"}, key=lambda key: -len(dimensions[key])):
        inner = [other for other in counts if dimensions[other] > dimensions[key]]
        least = sum(counts[other] for other in inner if not any(dimensions[other] > dimensions[one] for one in inner))
        counts[key] = least + (
            round(chance.uniform(0, 5_000), 2) if key in SECONDS else chance.choice((0, 1, chance.randrange(400_000)))
        )
    if {"audio_seconds", "input_audio_seconds"} <= counts.keys():
        counts["audio_seconds"] = counts["input_audio_seconds"]
    return counts


def quantities(counts, card, provider: Provider) -> dict[str, int]:
    """Return the same in our units."""
    found: dict[str, int] = {}
    for key, count in counts.items():
        unit = UNIT_OF[key]
        if key in SECONDS:
            least = 10 if provider.id == "groq" and "whisper-large-v3" in card.model and count else 0
            found[unit] = int(Decimal(repr(max(count, least))) * MICROSECONDS)
        else:
            found[unit] = count
    return found | ({"request": 1} if "request" in card.rates else {})


def test_a_tier_that_no_variant_is_for_has_no_price_where_genai_prices_takes_the_standard_one():
    """`service_tier: priority` on a model without it, and any tier before the day from which the list knows it."""
    book = PriceBook.packaged()
    now, before = 1_795_000_000 * 10**9, int(datetime(2026, 10, 11, tzinfo=UTC).timestamp()) * 10**9
    assert book.card(upstream="openai", model="gpt-5-nano", at=now, tier="priority") is None
    assert book.card(upstream="openai", model="gpt-5", at=now, tier="priority").rate("input") == 25 * 10**17
    assert book.card(upstream="openai", model="gpt-5", at=before, tier="priority") is None
    assert book.card(upstream="openai", model="gpt-5", at=before, tier="default") is not None

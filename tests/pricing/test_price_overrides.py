"""Prices of the operator's own: which one counts, and what it leaves to the lists."""

import itertools
from dataclasses import replace

import pytest

from domain.calls import Call, Usage
from domain.prices import Override
from pricing.book import PriceBook
from pricing.costing import cost_of

DAY = 86_400 * 10**9
NOW = 1_795_000_000 * 10**9
MICRO = 10**18  # a millionth of a dollar
BOOK = PriceBook.packaged()


def own(name, cents=1, **narrow) -> Override:
    return Override(id=name, rates={"input": cents * MICRO}, **narrow)


def cost(overrides, *, upstream="openai", model="gpt-4o", served=None, usage=None, at=NOW, **who):
    call = Call("chat", "ok", model=model, served_model=served, usage=usage or Usage(input_tokens=1_000, output_tokens=0))
    return cost_of(call, upstream=upstream, at=at, book=BOOK.with_overrides(overrides), **who)


def winner(overrides, **where) -> str | None:
    found = cost(overrides, **where)
    name = (found.ref or "").rpartition("/")[2]
    return name.removeprefix("override:") if name.startswith("override:") else None


WHO = {"key": "k1", "key_name": "ci", "project": "search"}
# From the weakest to the strongest.
LADDER = [
    own("any"),
    own("any model here", upstream="open*"),
    own("any model at openai", upstream="openai"),
    own("regex", model="re:^gpt-4"),
    own("glob", model="gpt-4*"),
    own("glob here", model="gpt-4*", upstream="openai"),
    own("exact", model="gpt-4o"),
    own("exact, later", model="gpt-4o", since=NOW - DAY),
    own("exact here", model="gpt-4o", upstream="openai"),
    own("the project's", project="search"),
    own("the project's regex", project="search", model="re:4o"),
    own("the project's model", project="search", model="gpt-4o"),
    own("the key's", key="ci"),
    own("the key's glob", key="ci", model="gpt-*"),
    own("the key's model", key="ci", model="gpt-4o"),
]


@pytest.mark.parametrize(("weak", "strong"), list(itertools.combinations(LADDER, 2)), ids=lambda one: one.id)
def test_key_over_project_over_all_then_exact_over_glob_over_regex_then_the_later_start(weak, strong):
    assert winner([weak, strong], **WHO) == winner([strong, weak], **WHO) == strong.id


@pytest.mark.parametrize(
    ("override", "counts"),
    [
        (own("x", key="k1"), True),
        (own("x", key="other"), False),
        (own("x", project="other"), False),
        (own("x", upstream="azure"), False),
        (own("x", upstream="re:^open"), True),
        (own("x", model="GPT-4O"), True),
        (own("x", model="gpt-4"), False),
        (own("x", model="gpt-?o"), True),
        (own("x", model="re:^4o"), False),
        (own("x", since=NOW), True),
        (own("x", since=NOW + 1), False),
        (own("x", until=NOW), False),
        (own("x", until=NOW + 1), True),
    ],
)
def test_an_override_counts_only_where_and_when_it_says(override, counts):
    assert (winner([override], **WHO) == "x") is counts


def test_a_key_without_a_name_is_nobodys():
    assert winner([own("x", key="ci")]) is None


def test_a_model_is_known_by_the_name_that_was_served_and_by_the_lists_own():
    dated = {"served": "gpt-4o-2024-08-06"}
    assert winner([own("listed", model="gpt-4o")], **dated) == "listed"
    assert winner([own("served", model="gpt-4o-2024-08-06")], **dated) == "served"


def test_a_price_begins_and_ends_within_a_day_to_the_nanosecond():
    book = [own("x", since=NOW + 10, until=NOW + 20)]
    assert [winner(book, at=NOW + at) for at in (9, 10, 19, 20)] == [None, "x", "x", None]
    kept = BOOK.with_overrides(book)
    found = [kept.card(upstream="openai", model="gpt-4o", at=NOW + at).ref.endswith("x") for at in (9, 10, 19, 20, 9, 15)]
    assert found == [False, True, True, False, False, True]


def test_what_an_override_does_not_name_costs_what_the_list_says():
    usage = Usage(input_tokens=1_000, cache_read_tokens=400, output_tokens=100)
    assert cost([own("x", 3)], usage=usage).pico == 600 * 3_000_000 + 400 * 1_250_000 + 100 * 10_000_000


def test_a_server_of_ones_own_has_the_price_that_its_operator_gives_it():
    rates = {"input": MICRO // 10, "output": MICRO * 4 // 10, "cache_read": MICRO // 50}
    price = Override(id="llama", rates=rates, upstream="vllm", model="llama-*")
    usage = Usage(input_tokens=1_000, cache_read_tokens=500, output_tokens=100)
    found = cost([price], upstream="vllm", model="llama-3.3-70b", usage=usage)
    assert (found.status, found.pico) == ("exact", 500 * 100_000 + 500 * 20_000 + 100 * 400_000)
    assert found.ref.endswith("own/llama-3.3-70b/standard/override:llama")
    assert cost([price], upstream="vllm", model="mixtral").status == "unknown"


def test_a_missing_rate_for_the_cache_is_as_input_and_never_free():
    usage = Usage(input_tokens=1_000, cache_read_tokens=1_000, output_tokens=0)
    assert cost([own("x", model="mine")], upstream="vllm", model="mine", usage=usage).pico == 10**9


def test_output_without_a_rate_is_unknown_and_never_free():
    usage = Usage(input_tokens=10, output_tokens=1)
    found = cost([own("x", model="mine")], upstream="vllm", model="mine", usage=usage)
    assert (found.status, found.pico) == ("unknown", None)
    free = Override(id="free", rates={"input": 0, "output": 0}, model="mine")
    assert cost([free], upstream="vllm", model="mine", usage=usage).status == "free"


def test_images_requests_and_seconds_can_be_priced_each():
    price = Override(id="x", rates={"images": 4 * 10**22, "request": 10**21, "audio_seconds": 10**20}, model="mine")
    usage = Usage(images=2, audio_seconds=1.5)
    assert cost([price], upstream="vllm", model="mine", usage=usage).pico == 2 * 4 * 10**10 + 10**9 + 15 * 10**7


def test_a_factor_is_for_tokens_and_not_for_tools():
    usage = Usage(input_tokens=1_000, output_tokens=100, searches={"web": 1})
    found = cost([Override(id="x", rates={}, times=(85, 100))], usage=usage)
    assert found.pico == (2_500_000_000 + 1_000_000_000) * 85 // 100 + 10**10


def test_a_deployment_has_the_price_of_the_model_that_it_is():
    price = Override(id="x", rates={}, upstream="azure", model="prod-chat", same_as="gpt-4o", times=(11, 10))
    assert cost([price], upstream="azure", model="prod-chat").pico == 2_750_000_000
    assert cost([replace(price, same_as="nothing")], upstream="azure", model="prod-chat").status == "unknown"


def test_a_tier_that_an_override_does_not_name_keeps_the_lists_price_or_stays_unknown():
    batch = Usage(input_tokens=1_000, output_tokens=0, batch=True)
    assert cost([own("x", 9)], usage=batch).pico == 1_250_000_000
    assert cost([own("x", model="mine")], upstream="vllm", model="mine", usage=batch).status == "unknown"
    named = replace(own("x", 9, model="mine"), tiers={"batch": {"input": 4 * MICRO}})
    assert cost([named], upstream="vllm", model="mine", usage=batch).pico == 4 * 10**9
    assert cost([named], usage=batch, model="mine", upstream="vllm", served="mine").ref.endswith("batch/override:x")
    flex = Usage(input_tokens=1_000, output_tokens=0, tier="flex")
    assert cost([named], upstream="vllm", model="mine", usage=flex).status == "unknown"


def test_without_overrides_a_book_is_as_it_was():
    changed = BOOK.with_overrides([own("x")])
    assert (
        changed.with_overrides([]).card(upstream="openai", model="gpt-4o", at=NOW).ref
        == BOOK.card(upstream="openai", model="gpt-4o", at=NOW).ref
    )
    assert (len(changed.overrides), BOOK.overrides) == (1, ())

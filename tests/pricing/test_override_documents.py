"""Prices of the operator's own as documents: read, refused with a sentence, and written back."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.override_documents import WrongPrice, document_of, override_of

WHOLE = {
    "id": "acme-2026",
    "match": {"upstream": "openai", "model": "re:^gpt-4o", "key": "ci", "project": "search"},
    "per_million_usd": {"input": "0.083333333333333333", "cache_read": "0"},
    "each_usd": {"images": "0.04"},
    "tiers": {"batch": {"per_million_usd": {"input": "0.05"}}},
    "times": "0.85",
    "same_as": "gpt-4o-2024-11-20",
    "from": "2026-01-01T00:00:00Z",
    "until": "2027-01-01T00:00:00Z",
}


def read(document, price_id="made"):
    return override_of(document, price_id=price_id, origin="file")


def test_a_document_is_read_whole_and_written_back_as_it_was():
    override = read(WHOLE)
    assert (override.id, override.key, override.project, override.times) == ("acme-2026", "ci", "search", (17, 20))
    assert override.rates == {"input": 83_333_333_333_333_333, "cache_read": 0, "images": 4 * 10**22}
    assert override.tiers == {"batch": {"input": 5 * 10**16}}
    assert override.since == 1_767_225_600 * 10**9
    assert document_of(override) == WHOLE


def test_an_amount_means_the_same_as_text_and_as_number():
    amounts = ("0.1", 0.1, "0.10", ".1", "1e-1")
    rates = {read({"match": {"model": "x"}, "per_million_usd": {"input": amount}}).rates["input"] for amount in amounts}
    assert rates == {10**17}
    assert read({"match": {"model": "x"}, "per_million_usd": {"input": 1e-07}}).rates["input"] == 10**11


def test_a_date_is_its_first_moment_in_utc():
    whens = (
        "2026-01-01",
        dt.date(2026, 1, 1),
        dt.datetime(2026, 1, 1),  # noqa: DTZ001 - TOML has times without a zone
        dt.datetime(2026, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    )
    assert {read({"match": {"model": "x"}, "times": "1", "from": when}).since for when in whens} == {1_767_225_600 * 10**9}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "no spaces"}, "`id`"),
        ({"match": None}, "`match`"),
        ({"match": {}}, "says what the price is for"),
        ({"match": {"model": ""}}, "`model`"),
        ({"match": {"model": "x" * 201}}, "`model`"),
        ({"match": {"model": "re:["}}, "regular expression"),
        ({"per_million_usd": {"images": "1"}}, "no unit in `per_million_usd`"),
        ({"each_usd": {"input": "1"}}, "no unit in `each_usd`"),
        ({"per_million_usd": {"input": True}}, "amount"),
        ({"per_million_usd": {"input": None}}, "amount"),
        ({"per_million_usd": {"input": "1e400"}}, "amount"),
        ({"per_million_usd": {"input": float("inf")}}, "amount"),
        ({"per_million_usd": {"input": 10**30}}, "amount"),
        ({"per_million_usd": ["input"]}, "`per_million_usd`"),
        ({"tiers": {"batch": {"input": "1"}}}, "no field in `tiers.batch`"),
        ({"tiers": {"batch": "half"}}, "`tiers`"),
        ({"times": "-1"}, "`times`"),
        ({"times": "1001"}, "at most 1000"),
        ({"from": 5}, "`from`"),
        ({"from": "2500-01-01"}, "`from`"),
        ({"until": "2025-01-01"}, "`until` is not after `from`"),
        ({"per_milion_usd": {}}, "did you mean `per_million_usd`"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change, said):
    with pytest.raises(WrongPrice) as refused:
        read({**WHOLE, **change})
    assert said in str(refused.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(document=st.dictionaries(st.sampled_from(sorted(WHOLE)), values) | values)
def test_whatever_is_given_it_is_a_price_or_refused(document):
    try:
        override = read(document)
    except WrongPrice:
        return
    assert override.rates or override.tiers or override.times or override.same_as

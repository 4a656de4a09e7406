"""Prices that were set, calls without one, and fetched lists in the data folder."""

from pathlib import Path

import pytest

from storage.database import Database
from storage.price_snapshots import PriceSnapshots
from storage.prices import PriceStore, StoredPrice, Unpriced
from storage.spans import SpanStore
from tests.storage.samples import BEGIN, SECOND, a_span


@pytest.fixture
def prices(database: Database) -> PriceStore:
    return PriceStore(database)


def test_a_price_is_kept_as_it_was_written_and_stays_when_it_is_taken_back(prices: PriceStore) -> None:
    first = StoredPrice("a", {"match": {"model": "x"}, "per_million_usd": {"input": "0.0000001"}}, 1.5)
    prices.add(first)
    prices.add(StoredPrice("b", {}, 1.0))
    assert prices.all() == [StoredPrice("b", {}, 1.0), first]
    assert prices.remove("a", 2.5)
    assert not prices.remove("a", 3.5)
    assert not prices.remove("never", 3.5)
    assert prices.all() == [StoredPrice("b", {}, 1.0)]
    assert prices.get("a") == StoredPrice("a", first.document, 1.5, 2.5)
    assert prices.get("never") is None


def test_an_id_is_used_once(prices: PriceStore) -> None:
    prices.add(StoredPrice("a", {}, 1.0))
    prices.remove("a", 2.0)
    with pytest.raises(ValueError, match="choose another id"):
        prices.add(StoredPrice("a", {}, 3.0))


def test_calls_without_a_price_are_counted_by_upstream_and_served_model(prices: PriceStore, store_spans: SpanStore) -> None:
    unknown = {"cost": None, "cost_status": "unknown"}
    store_spans.save(
        [
            (a_span(0, served_model="m1", **unknown), None),
            (a_span(5, served_model="m1", **unknown), None),
            (a_span(2, model="m2", served_model=None, **unknown), None),
            (a_span(3, upstream="vllm", model=None, served_model=None, **unknown), None),
            (a_span(4, served_model="m1"), None),
            (a_span(4, served_model="m1", cost=None, cost_status="none"), None),
        ]
    )
    second = BEGIN + 2 * SECOND
    assert prices.unpriced() == [
        Unpriced("openai", "m1", 2, BEGIN, BEGIN + 5 * SECOND),
        Unpriced("openai", "m2", 1, second, second),
        Unpriced("vllm", "", 1, BEGIN + 3 * SECOND, BEGIN + 3 * SECOND),
    ]
    assert [one.calls for one in prices.unpriced(since=second, until=BEGIN + 5 * SECOND)] == [1, 1]
    assert len(prices.unpriced(most=1)) == 1


def test_what_was_used_lately_is_each_model_once(prices: PriceStore, store_spans: SpanStore) -> None:
    store_spans.save([(a_span(number, served_model=f"m{number % 2}"), None) for number in range(5)])
    assert sorted(prices.used(BEGIN + SECOND)) == [("openai", "m0"), ("openai", "m1")]
    assert prices.used(BEGIN + 4 * SECOND) == [("openai", "m0")]


def test_a_fetched_list_is_kept_whole_and_once(tmp_path: Path) -> None:
    snapshots = PriceSnapshots(tmp_path / "prices")
    assert snapshots.current() is None
    assert snapshots.due_in(60, 1000.0) == 0
    snapshots.save("a" * 64, {"x.jsonl": b"1\n"})
    snapshots.save("a" * 64, {"x.jsonl": b"2\n"})
    assert (tmp_path / "prices" / ("a" * 64) / "x.jsonl").read_bytes() == b"1\n"
    snapshots.use("a" * 64)
    assert snapshots.current() == "a" * 64
    age = (tmp_path / "prices" / "current").stat().st_mtime
    assert snapshots.due_in(60, age + 50) == pytest.approx(10)
    snapshots.use(None)
    assert snapshots.current() is None
    assert [path.name for path in (tmp_path / "prices").iterdir() if path.name.startswith(".")] == []

"""What calls cost by later prices: written beside what was recorded, never over it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from domain.calls import Usage
from domain.spans import Span
from storage.adjustments import AdjustmentStore
from storage.database import Database
from storage.queries import CallQuery
from storage.spans import SpanStore
from tests.storage.samples import BEGIN, SECOND, a_span

EVER = (0, 2**62, (-1, 0))


@pytest.fixture
def adjustments(database: Database) -> AdjustmentStore:
    return AdjustmentStore(database)


def at(span: Span, cost: int | None, **changes: Any) -> Span:
    status = "unknown" if cost is None else "exact"
    lines: tuple[Mapping[str, Any], ...] = ({"unit": "input", "cost_usd": "1"},)
    return replace(span, cost=cost, **{"cost_status": status, "price_ref": "new/1", "cost_lines": lines, **changes})


def test_a_call_is_shown_with_its_last_adjustment_and_what_was_recorded_stays(
    database: Database, store_spans: SpanStore, adjustments: AdjustmentStore
) -> None:
    span = a_span(cost=None, cost_status="unknown", price_ref=None)
    store_spans.save([(span, None)])
    adjustments.adjust([at(span, 5)], run="r1", made_at=1)
    adjustments.adjust([at(span, 7)], run="r2", made_at=2)
    assert store_spans.span(span.id) == at(span, 7)
    assert store_spans.calls(CallQuery()).spans == [at(span, 7)]
    trace = [
        (one.run, one.old_cost, one.new_cost, one.old_status, one.new_ref) for one in adjustments.adjustments(call_id=span.id)
    ]
    assert trace == [("r1", None, 5, "unknown", "new/1"), ("r2", 5, 7, "exact", "new/1")]
    with database.reading() as connection:
        assert connection.execute(text("SELECT cost, cost_status FROM calls")).one() == (7, "exact")
    recorded, _ = store_spans.recorded_after(0)
    assert recorded == [span]


def test_writing_the_same_again_changes_nothing(store_spans: SpanStore, adjustments: AdjustmentStore) -> None:
    span = a_span(cost=3)
    store_spans.save([(span, None)])
    assert len(adjustments.adjust([at(span, 5)], run="r1", made_at=1)) == 1
    assert adjustments.adjust([at(span, 5)], run="r1", made_at=1) == []
    assert adjustments.adjust([at(span, 5, price_ref="other")], run="r2", made_at=2) == []
    assert len(adjustments.adjustments(call_id=span.id)) == 1


def test_a_call_that_is_gone_is_left_alone(adjustments: AdjustmentStore) -> None:
    assert adjustments.adjust([a_span(cost=5)], run="r", made_at=1) == []


def test_calls_are_listed_by_time_in_steps_each_once(store_spans: SpanStore, adjustments: AdjustmentStore) -> None:
    spans = [a_span(number // 3) for number in range(20)]
    store_spans.save([(span, None) for span in reversed(spans)])
    seen: list[str] = []
    place: tuple[int, int] | None = (-1, 0)
    while place is not None:
        page, place = adjustments.calls_between(BEGIN + SECOND, BEGIN + 5 * SECOND, place, 4)
        seen += [span.id for span in page]
    assert len(seen) == len(set(seen))
    assert set(seen) == {span.id for span in spans[3:15]}


def test_listing_shows_adjusted_costs_and_filters_by_them(store_spans: SpanStore, adjustments: AdjustmentStore) -> None:
    priced, unknown = a_span(0, cost=3), a_span(1, cost=None, cost_status="unknown")
    store_spans.save([(priced, None), (unknown, None)])
    adjustments.adjust([at(unknown, 9)], run="r", made_at=1)
    assert [span.cost for span in adjustments.calls_between(*EVER, 10)[0]] == [3, 9]
    assert adjustments.calls_between(*EVER, 10, status="unknown")[0] == []


def test_a_response_that_gets_a_price_late_is_still_charged_once(store_spans: SpanStore, adjustments: AdjustmentStore) -> None:
    used = Usage(input_tokens=1, flags=("retrieved",))
    readers = [
        a_span(number, operation="responses.retrieve", usage=used, response_id="resp_1", cost=None, cost_status="unknown")
        for number in range(3)
    ]
    store_spans.save([(reader, None) for reader in readers])
    adjustments.adjust([at(reader, 50) for reader in readers], run="r", made_at=1)
    shown = [store_spans.span(reader.id) for reader in readers]
    assert [(span.cost, span.cost_status) for span in shown if span] == [(50, "exact"), (None, "none"), (None, "none")]


def test_adjustments_go_with_their_calls(store_spans: SpanStore, adjustments: AdjustmentStore) -> None:
    old, new = a_span(0, cost=1), a_span(100, cost=1)
    store_spans.save([(old, None), (new, None)])
    adjustments.adjust([at(old, 2), at(new, 2)], run="r", made_at=1)
    store_spans.prune(content_before=0, spans_before=BEGIN + 50 * SECOND)
    assert [one.call_id for one in adjustments.adjustments(run="r")] == [new.id]
    store_spans.erase(lambda _: True)
    assert adjustments.adjustments(run="r") == []


def test_costs_too_large_for_a_column_do_not_stop_the_others(store_spans: SpanStore, adjustments: AdjustmentStore) -> None:
    spans = [a_span(number, cost=1) for number in range(2)]
    store_spans.save([(span, None) for span in spans])
    adjustments.adjust([at(spans[0], 2**80), at(spans[1], 2)], run="r", made_at=1)
    assert [one.new_cost for one in adjustments.adjustments(run="r")] == [None, 2]


def test_rollups_are_moved_by_the_difference(database: Database, store_spans: SpanStore, adjustments: AdjustmentStore) -> None:
    spans = [a_span(number, cost=None, cost_status="unknown", price_ref=None) for number in range(3)]
    store_spans.save([(span, None) for span in spans])
    adjustments.adjust([at(span, 10**10 + 1) for span in spans], run="r", made_at=1)
    adjustments.adjust([at(spans[0], 5)], run="r", made_at=2)
    with database.reading() as connection:
        sums = connection.execute(text("SELECT SUM(cost_high), SUM(cost_low), SUM(unpriced), SUM(calls) FROM rollups")).one()
    high, low, unpriced, calls = (int(one) for one in sums)
    assert high * 10**9 + low == 2 * (10**10 + 1) + 5
    assert (unpriced, calls) == (0, 3)

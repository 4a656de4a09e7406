"""A response, or a file of results, is charged once, however often it is read."""

import random
from contextlib import closing
from dataclasses import replace

import pytest

from domain.calls import SubCall, Usage
from storage.database import Database, open_database
from storage.queries import CallQuery
from storage.spans import SpanStore
from tests.storage.samples import BEGIN, SECOND, a_span

READ = Usage(input_tokens=10, output_tokens=5, flags=("retrieved",), raw={"input_tokens": 10})
MADE = Usage(input_tokens=10, output_tokens=5, raw={"input_tokens": 10})
RESULTS = Usage(sub_calls=(SubCall("gpt-4o", "batch", MADE),), batch=True, flags=("batch_results",))


def reads(number, response="resp_1", **changes):
    return a_span(number, operation="responses.retrieve", usage=READ, response_id=response, cost=700, **changes)


def makes(number, response="resp_1", **changes):
    return a_span(number, operation="responses", usage=MADE, response_id=response, cost=700, **changes)


def costs(store: SpanStore) -> list[int | None]:
    return [span.cost for span in store.calls(CallQuery(newest_first=False)).spans]


def test_a_response_that_is_looked_at_again_and_again_is_charged_to_the_call_that_made_it(store_spans: SpanStore) -> None:
    maker, readers = makes(0), [reads(number) for number in range(1, 4)]
    store_spans.save([(maker, None)])
    for reader in readers:
        store_spans.save([(reader, None)])
    assert costs(store_spans) == [700, None, None, None]
    shown = store_spans.span(readers[0].id)
    assert shown is not None
    assert shown.cost_status == "none"
    assert shown.usage == READ
    assert f"charged to call {maker.id}" in shown.notes[-1]


def test_a_response_of_which_only_readings_pass_is_charged_to_the_first(store_spans: SpanStore) -> None:
    store_spans.save([(reads(0), None), (reads(1), None)])
    store_spans.save([(reads(2), None)])
    assert costs(store_spans) == [700, None, None]


def test_whoever_hears_of_a_call_after_it_was_saved_hears_what_was_saved(store_spans: SpanStore) -> None:
    first, second = reads(0), reads(1)
    store_spans.save([(first, None), (second, None)])
    assert (first.cost, first.cost_status) == (700, "exact")
    assert (second.cost, second.cost_status) == (None, "none")
    assert store_spans.span(second.id) == second


def test_a_maker_that_is_saved_after_its_reader_is_not_charged_again(store_spans: SpanStore) -> None:
    store_spans.save([(reads(0), None)])
    store_spans.save([(makes(1), None)])
    assert costs(store_spans) == [700, None]


def test_two_calls_that_make_responses_of_one_id_are_two(store_spans: SpanStore) -> None:
    """Some servers give every response the same id."""
    store_spans.save([(makes(0), None), (makes(1), None)])
    assert costs(store_spans) == [700, 700]


def test_ids_of_different_upstreams_have_nothing_to_do_with_each_other(store_spans: SpanStore) -> None:
    store_spans.save([(makes(0), None), (reads(1, upstream="azure"), None)])
    assert costs(store_spans) == [700, 700]


def test_a_file_of_results_is_charged_once(store_spans: SpanStore) -> None:
    files = [a_span(number, operation="files", usage=RESULTS, response_id="file-1", cost=900) for number in range(3)]
    for file in files:
        store_spans.save([(file, None)])
    assert costs(store_spans) == [900, None, None]


def test_results_that_were_not_read_to_their_end_are_charged_when_they_are(store_spans: SpanStore) -> None:
    part = replace(RESULTS, flags=("batch_results", "interrupted"))
    usages = (part, RESULTS, part)
    for number, usage in enumerate(usages):
        store_spans.save([(a_span(number, operation="files", usage=usage, response_id="file-1", cost=900), None)])
    assert costs(store_spans) == [None, 900, None]


def test_a_reading_without_a_price_leaves_the_charge_to_one_that_has_one(store_spans: SpanStore) -> None:
    store_spans.save([(replace(reads(0), cost=None, cost_status="unknown"), None)])
    store_spans.save([(reads(1), None)])
    assert costs(store_spans) == [None, 700]


def test_saving_the_same_call_again_changes_nothing(store_spans: SpanStore) -> None:
    reader = reads(0)
    store_spans.save([(reader, None)])
    assert store_spans.save([(replace(reader), None)]) == 0
    assert costs(store_spans) == [700]


def test_ordinary_calls_with_one_id_are_all_charged(store_spans: SpanStore) -> None:
    store_spans.save([(a_span(number, response_id="chatcmpl-1", usage=MADE, cost=5), None) for number in range(3)])
    assert costs(store_spans) == [5, 5, 5]


def test_it_is_remembered_after_a_restart(database_url: str) -> None:
    for number in range(2):
        with closing(open_database(database_url)) as database:
            SpanStore(database).save([(reads(number), None)])
    with closing(open_database(database_url)) as database:
        assert costs(SpanStore(database)) == [700, None]


def test_a_transaction_that_fails_charges_nothing(store_spans: SpanStore) -> None:
    bad = replace(makes(1, "resp_2"), outcome=None)
    with pytest.raises(Exception, match=r"NOT NULL|not-null"):
        store_spans.save([(reads(0), None), (bad, None)])
    late = reads(2)
    store_spans.save([(late, None)])
    assert late.cost == 700


def test_it_is_remembered_for_two_months_longer_than_the_call_is_kept(store_spans: SpanStore) -> None:
    day = 86_400 * SECOND
    store_spans.save([(reads(0), None)])
    gone = BEGIN + 10
    assert store_spans.prune(content_before=gone, spans_before=gone).spans == 1
    second = reads(1)
    store_spans.save([(second, None)])
    assert second.cost is None
    store_spans.prune(content_before=0, spans_before=BEGIN + 61 * day)
    third = reads(2)
    store_spans.save([(third, None)])
    assert third.cost == 700


def test_hostile_ids_are_ids_like_any_other(store_spans: SpanStore) -> None:
    for number, response in enumerate(("", "x" * 1_000_000, "nul\0", "half \ud800", "'; DROP TABLE calls")):
        store_spans.save([(reads(2 * number, response), None), (reads(2 * number + 1, response), None)])
    assert costs(store_spans).count(700) == 5


def test_many_batches_in_any_order_charge_each_response_once(database: Database) -> None:
    """Whatever the order in which makers and readers are saved, the sum is one charge for each response, or one for each maker."""
    dice, store = random.Random(5), SpanStore(database)
    calls = [(reads if dice.random() < 0.7 else makes)(number, f"resp_{dice.randrange(12)}") for number in range(120)]
    dice.shuffle(calls)
    start = 0
    while start < len(calls):
        size = dice.randrange(1, 9)
        store.save([(call, None) for call in calls[start : start + size]])
        start += size
    charged = [span for span in store.calls(CallQuery(limit=200)).spans if span.cost is not None]
    for response in {call.response_id for call in calls}:
        mine = [span for span in charged if span.response_id == response]
        assert len(mine) == 1 or all(span.operation == "responses" for span in mine)
        assert mine

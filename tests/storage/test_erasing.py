"""Deleting chosen calls."""

from domain.exchange import Labels
from storage.database import Database
from storage.erasing import Erased
from storage.spans import CallQuery, SpanStore
from tests.storage.samples import a_content, a_span
from tests.storage.test_retention import rows


def is_demo(span) -> bool:
    return span.labels.env == "demo"


def some_calls():
    """Return ten calls, every third of them a demo."""
    return [
        a_span(second, labels=Labels(env=None if second % 3 else "demo", session="s", tags={"team": "t", "x" * 500: "y"}))
        for second in range(10)
    ]


def erased_in_steps(store: SpanStore, matches, most: int) -> list[int]:
    counts, place = [], 0
    while place is not None:
        step = store.erase(matches, after=place, most=most)
        counts.append(step.spans)
        place = step.place
    return counts


def test_what_matches_goes_whole_and_nothing_else(store_spans: SpanStore, database: Database) -> None:
    calls = some_calls()
    store_spans.save([(span, a_content()) for span in calls])
    assert erased_in_steps(store_spans, is_demo, most=4) == [2, 1, 1]
    kept = [span for span in calls if not is_demo(span)]
    assert store_spans.calls(CallQuery(newest_first=False)).spans == kept
    assert store_spans.calls(CallQuery(tags={"team": "t"}, newest_first=False)).spans == kept
    assert [store_spans.content(span.id) for span in calls] == [None if is_demo(span) else a_content() for span in calls]
    assert (rows(database, "contents"), rows(database, "call_tags")) == (6, 12)


def test_a_step_looks_at_no_more_than_it_was_told_and_says_where_to_go_on(store_spans: SpanStore) -> None:
    store_spans.save([(span, None) for span in some_calls()])
    first = store_spans.erase(is_demo, most=5)
    assert first.spans == 2
    assert first.place is not None
    assert store_spans.erase(is_demo, after=first.place, most=100) == Erased(2, None)


def test_an_empty_store_and_a_place_behind_the_last_call_end_at_once(store_spans: SpanStore) -> None:
    assert store_spans.erase(is_demo) == Erased(0, None)
    store_spans.save([(span, None) for span in some_calls()])
    assert store_spans.erase(is_demo, after=store_spans.last_place()) == Erased(0, None)


def test_erased_calls_can_be_saved_again(store_spans: SpanStore) -> None:
    calls = some_calls()
    store_spans.save([(span, a_content()) for span in calls])
    assert store_spans.erase(is_demo).spans == 4
    assert store_spans.save([(span, a_content()) for span in calls]) == 4
    assert store_spans.calls(CallQuery(newest_first=False)).spans == calls

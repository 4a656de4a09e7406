"""Deleting chosen calls."""

from domain.deliveries import Owed
from domain.exchange import Labels
from recorder.budget_events import event_of
from storage.budgets import BudgetStore, BudgetWarning
from storage.database import Database
from storage.deliveries.totals import Totals
from storage.erasing import Erased
from storage.spans import CallQuery, SpanStore
from tests.storage.owed import a_store, an_event, claim, dead, delivered
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


def a_warning(member: str | None, number: int = 0, name: str = "customers") -> BudgetWarning:
    return BudgetWarning("b1", name, member, f"b1|{member}@usd:0+3600", number, 800_000, 8, 10, "usd", 1000.0)


def events_left(database: Database) -> list[str]:
    found, place = [], 0
    store = a_store(database, "reader")
    while claims := claim(store, "hook"):
        found += [one.event.id for one in claims if one.event]
        store.finish(delivered(claims))
        place += 1
    return found


def test_events_that_name_somebody_are_erased_with_what_was_kept_of_their_deliveries(
    store_spans: SpanStore, database: Database
) -> None:
    store = a_store(database)
    told = [
        event_of(a_warning("acme")),
        event_of(a_warning("Acme Two")),
        event_of(a_warning(None, name="customer:acme")),
        event_of(a_warning(None, 1, name="tag:team=acme")),
        event_of(a_warning(None, 2, name="everybody")),
        an_event("other", data={"member": "acme-labs"}),
        an_event("odd", data={"member": ["acme"]}),
    ]
    for one in told:
        store.owe_event(one, [Owed("hook"), Owed("mail")])
    store.finish(dead(claim(store, "mail"), payload=b"the customer acme"))
    assert erased_events_in_steps(store_spans, ["acme", "user-7"], most=2) == 3
    assert events_left(database) == [told[1].id, told[4].id, "other", "odd"]
    assert (rows(database, "events"), rows(database, "dead_payloads"), rows(database, "deliveries")) == (4, 4, 8)
    assert store.totals()["mail"] == Totals(accepted=7, dead=7, gone=3)
    assert store.discrepancies() == []
    assert erased_events_in_steps(store_spans, ["acme"], most=100) == 0


def erased_events_in_steps(store: SpanStore, names, most: int) -> int:
    count, place = 0, 0
    while place is not None:
        step = store.erase_events(names, after=place, most=most)
        count, place = count + step.events, step.place
    return count


def test_that_a_member_of_a_budget_was_warned_is_forgotten_too(store_spans: SpanStore, database: Database) -> None:
    budgets = BudgetStore(database)
    budgets.warn([a_warning("acme"), a_warning("other"), a_warning(None)])
    assert store_spans.erase_events(["acme"]) == Erased(0, None)
    assert budgets.unwarned([a_warning("acme"), a_warning("other"), a_warning(None)]) == [a_warning("acme")]
    assert rows(database, "budget_warnings") == 2

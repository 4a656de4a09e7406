"""Rollups: sums that stay equal to the sum of the calls, whatever happens to those, on both databases."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from domain.calls import Usage
from domain.exchange import Labels
from storage import rollups
from storage.adjustments import AdjustmentStore
from storage.database import Database, open_database
from storage.rollup_rebuild import rebuild_slot
from storage.rollups import SLOT, TOKENS
from storage.span_rows import row_of, word
from storage.spans import CallQuery, SpanStore
from storage.usage import BY, ROLLUPS, SLOTS, Sums, UsageQuery, UsageStore
from tests.storage.conftest import _postgres_database
from tests.storage.samples import BEGIN, SECOND, a_span

FROM = BEGIN // SECOND // SLOT * SLOT
FOREVER = [(0, 2**40)]
FIELDS = {
    "project": lambda span: span.project,
    "key": lambda span: span.key_name,
    "model": lambda span: span.model or None,
    "upstream": lambda span: span.upstream,
    "section": lambda span: span.labels.section or None,
    "customer": lambda span: span.labels.customer or None,
    "outcome": lambda span: span.outcome,
    "cost_status": lambda span: span.cost_status,
}

counts = st.none() | st.integers(0, 10**6)
costs = st.none() | st.integers(0, 10**15)
few = st.sampled_from
spans = st.builds(
    lambda at, usage, customer, section, cost, **values: a_span(
        started_at=BEGIN + at,
        usage=usage,
        cost=cost,
        cost_status=values.pop("status") if cost is not None else values.pop("without"),
        labels=Labels(customer=customer, section=section),
        **{name: value for name, value in values.items() if name not in {"status", "without"}},
    ),
    at=st.integers(0, 3 * SLOT * SECOND),
    usage=st.none() | st.builds(Usage, **dict.fromkeys(TOKENS, counts)),
    customer=few([None, "", "acme", "é\0"]),
    section=few([None, "agent:a", "agent:a/tool:b"]),
    cost=costs,
    status=few(["exact", "reported", "estimated", "free"]),
    without=few(["unknown", "none"]),
    key_name=few(["ci", "web"]),
    model=few([None, "gpt-4o", "m" * 300]),
    outcome=few(["ok", "error", "denied"]),
    latency_ms=st.none() | st.integers(0, 10**6).map(float),
)


def sums_of(spans) -> Sums:
    """Return the sums over calls, added up the plain way."""
    known = [span for span in spans if span.cost is not None]
    guessed = [span for span in spans if span.cost_status == "estimated"]
    timed = [span.latency_ms for span in spans if span.latency_ms is not None]
    return Sums(
        len(spans),
        sum(span.cost is None and span.cost_status != "none" for span in spans),
        sum(span.cost for span in known),
        len(guessed),
        sum(span.cost for span in guessed),
        len(timed),
        round(sum(timed) * 1000),
        tuple(sum(getattr(span.usage, name) or 0 for span in spans if span.usage) for name in TOKENS),
    )


def whole(database: Database, query: UsageQuery = UsageQuery()) -> Sums:  # noqa: B008 - a value
    return UsageStore(database).usage(query, FOREVER)[0].total


def rows(database: Database, table=ROLLUPS) -> list:
    with database.reading() as connection:
        return connection.execute(select(table)).all()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared(request, tmp_path_factory):
    """One database for many examples."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('rollups')}/store.db"
        else:
            _, url = stack.enter_context(_postgres_database(request.getfixturevalue("database_server")))
        database = stack.enter_context(closing(open_database(url)))
        database.upgrade()
        yield database


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.lists(spans, max_size=12), max_size=4), by=st.lists(few(sorted(BY)), max_size=3, unique=True))
def test_usage_is_the_sum_of_the_calls_by_anything_to_the_last_pico(shared: Database, batches, by) -> None:
    store = SpanStore(shared)
    store.erase(lambda _: True, most=10_000)
    for batch in batches:
        store.save([(span, None) for span in batch])
        store.save([(span, None) for span in batch])
    every = [span for batch in batches for span in batch]
    grouped = defaultdict(list)
    for span in every:
        grouped[tuple(_word(FIELDS[name](span)) for name in by)].append(span)
    [found] = UsageStore(shared).usage(UsageQuery(by=tuple(by)), FOREVER)
    assert found.total == sums_of(every)
    assert dict(found.groups) == {group: sums_of(spans) for group, spans in grouped.items()}
    assert len(found.groups) == len(grouped)
    assert found.rest is None


def _word(value):
    return None if value is None else word(value)


def test_periods_of_quarters_of_an_hour_tile_the_calls(database: Database) -> None:
    store = SpanStore(database)
    made = [a_span(started_at=(FROM + 300 * number) * SECOND, cost=number + 1) for number in range(12)]
    made.append(a_span(started_at=(FROM + SLOT) * SECOND - 1, cost=10**6))
    store.save([(span, None) for span in made])
    periods = [(FROM, FROM + SLOT), (FROM + SLOT, FROM + 2 * SLOT), (FROM + 2 * SLOT, FROM + 4 * SLOT)]
    found = UsageStore(database).usage(UsageQuery(), periods)
    assert [one.total.cost for one in found] == [1 + 2 + 3 + 10**6, 4 + 5 + 6, 7 + 8 + 9 + 10 + 11 + 12]


def test_a_call_that_is_read_again_from_the_journal_is_counted_once(database: Database) -> None:
    store = SpanStore(database)
    span, other = a_span(cost=7), a_span(cost=11)
    store.save([(span, None)])
    store.save([(span, None), (other, None), (other, None)])
    assert whole(database) == sums_of([span, other])


def test_what_is_rolled_back_is_not_counted(database: Database) -> None:
    store = SpanStore(database)
    span = a_span()
    with suppress(RuntimeError), database.writing() as connection:
        rollups.add(connection, [rollups.counted(row_of(span), span.usage)])
        raise RuntimeError
    assert rows(database) == []
    store.save([(span, None)])
    assert whole(database) == sums_of([span])


def test_offices_that_save_at_once_count_every_call(database: Database) -> None:
    batches = [[a_span(number, cost=10**9 - 1) for number in range(20)] for _ in range(12)]
    with ThreadPoolExecutor(4) as offices:
        list(offices.map(lambda batch: SpanStore(database).save([(span, None) for span in batch]), batches))
    assert whole(database) == sums_of([span for batch in batches for span in batch])


def test_sums_beyond_64_bits_are_exact(database: Database) -> None:
    store = SpanStore(database)
    largest = 2**63 - 1
    made = [a_span(number, cost=largest, usage=Usage(input_tokens=largest, output_tokens=3)) for number in range(5)]
    for span in made:
        store.save([(span, None)])
    found = whole(database)
    assert found.cost == 5 * largest
    assert found.tokens[TOKENS.index("output_tokens")] == 15
    assert found.tokens[TOKENS.index("input_tokens")] == 0, "nobody used that many; what an upstream claims must not break sums"


def test_rollups_stay_when_calls_are_deleted_for_their_age(database: Database) -> None:
    store = SpanStore(database)
    made = [a_span(number) for number in range(5)]
    store.save([(span, None) for span in made])
    while store.prune(content_before=2**62, spans_before=2**62):
        pass
    assert store.calls(CallQuery()).spans == []
    assert whole(database) == sums_of(made)


def test_calls_that_are_erased_are_not_counted_any_more(database: Database) -> None:
    store = SpanStore(database)
    made = [a_span(number, labels=Labels(env="demo" if number % 2 else None)) for number in range(6)]
    store.save([(span, None) for span in made])
    store.erase(lambda span: span.labels.env == "demo")
    assert whole(database) == sums_of(made[::2])


def test_repriced_calls_are_counted_at_their_new_cost_and_erased_at_it(database: Database) -> None:
    store = SpanStore(database)
    unknown, known, other = a_span(cost=None, cost_status="unknown"), a_span(cost=5), a_span(cost=9)
    store.save([(span, None) for span in (unknown, known, other)])
    priced = [replace(unknown, cost=100, cost_status="exact"), replace(known, cost=8)]
    for _ in range(2):
        AdjustmentStore(database).adjust(priced, run="r", made_at=1)
        assert whole(database) == sums_of([*priced, other])
    store.erase(lambda span: span.id != other.id)
    assert whole(database) == sums_of([other])
    [only] = UsageStore(database).usage(UsageQuery(by=("cost_status",)), FOREVER)
    assert [group for group, _ in only.groups] == [("exact",)]


def test_adjusting_calls_that_no_rollup_counts_changes_nothing(database: Database) -> None:
    before = a_span(cost=5)
    with database.writing() as connection:
        rollups.adjust(connection, [(before, replace(before, cost=9))])
    assert rows(database) == rows(database, SLOTS) == []


def rebuild(database: Database) -> int:
    calls, slot = 0, 0
    while slot is not None:
        done = rebuild_slot(database, slot)
        calls, slot = calls + done.calls, done.next_slot
    return calls


def test_rebuilding_makes_the_same_rollups_again(database: Database) -> None:
    store = SpanStore(database)
    made = [a_span(number * 400, cost=number, model=f"m{number % 3}", cost_status="exact") for number in range(9)]
    store.save([(span, None) for span in made])
    AdjustmentStore(database).adjust([replace(made[0], cost=77)], run="r", made_at=1)
    before, slots = rows(database), rows(database, SLOTS)
    with database.writing() as connection:
        connection.execute(delete(ROLLUPS).where(ROLLUPS.c.slot > FROM))
        connection.execute(update(ROLLUPS).values(cost_low=1))
    assert rebuild(database) == 9
    assert sorted(rows(database)) == sorted(before)
    assert rows(database, SLOTS) == slots


def test_rebuilding_keeps_what_only_rollups_know(database: Database) -> None:
    store = SpanStore(database)
    made = [a_span(number) for number in range(4)]
    store.save([(span, None) for span in made])
    assert store.prune(content_before=0, spans_before=made[2].started_at)
    rebuild(database)
    assert whole(database) == sums_of(made)


def hostile(number: int, **values):
    return a_span(labels=Labels(customer=f"c{number}", section=f"s{number}"), cost=1, **values)


def test_a_new_customer_for_every_call_cannot_make_a_series_for_every_call(database: Database) -> None:
    made = [hostile(number) for number in range(40)] + [hostile(0), hostile(39)]
    counted = [rollups.counted(row_of(span), span.usage) for span in made]
    for one in counted:
        with database.writing() as connection:
            rollups.add(connection, [one], most=10)
    [found] = UsageStore(database).usage(UsageQuery(by=("customer", "section")), FOREVER)
    groups = {group: sums.calls for group, sums in found.groups}
    assert len(groups) == 11
    assert groups["c0", "s0"] == 2
    assert groups[rollups.OTHER, rollups.OTHER] == 31
    assert UsageStore(database).folded(0, 2**40) == 31
    assert found.total == sums_of(made)


def test_new_models_and_keys_are_folded_too_in_one_batch_or_many(database: Database) -> None:
    made = [hostile(number, model=f"m{number}", key=f"k{number}", key_name=f"n{number}") for number in range(60)]
    calls = [rollups.counted(row_of(span), span.usage) for span in made]
    for batch in (calls[:50], calls[50:]):
        with database.writing() as connection:
            rollups.add(connection, batch, most=5)
    assert len(rows(database)) == 16
    [found] = UsageStore(database).usage(UsageQuery(by=("key",)), FOREVER)
    assert dict(found.groups)[(rollups.OTHER,)].calls == 60 - 15
    assert found.total == sums_of(made)
    with database.reading() as connection:
        assert connection.execute(select(SLOTS.c.series, SLOTS.c.folded)).one() == (16, 55)


def test_a_call_that_was_folded_is_adjusted_and_erased_where_it_was_counted(database: Database) -> None:
    made = [hostile(number) for number in range(8)]
    with database.writing() as connection:
        rollups.add(connection, [rollups.counted(row_of(span), span.usage) for span in made], most=4)
        after = replace(made[7], cost=50)
        rollups.adjust(connection, [(made[7], after)])
        rollups.remove(connection, [made[6], made[0]])
    [found] = UsageStore(database).usage(UsageQuery(by=("customer",)), FOREVER)
    assert {group: sums.cost for group, sums in found.groups} == {("c1",): 1, ("c2",): 1, ("c3",): 1, (rollups.OTHER,): 52}


def test_a_section_stands_for_all_below_it(database: Database) -> None:
    paths = ["agent:a", "agent:a/tool:x", "agent:a/tool:y", "agent:ab", "agent:a%", None]
    SpanStore(database).save([(a_span(labels=Labels(section=path)), None) for path in paths])
    for section, calls in [("agent:a", 3), ("agent:a/tool:x", 1), ("agent:a%", 1), ("agent:_", 0), ("", 1)]:
        assert whole(database, UsageQuery(filters={"section": section})).calls == calls, section


def test_filters_and_leaving_out_estimates(database: Database) -> None:
    store = SpanStore(database)
    guessed = a_span(cost=3, cost_status="estimated", key="k9", key_name="web", model=None)
    store.save([(a_span(cost=5), None), (guessed, None)])
    for name, value, cost in [
        ("key", "k9", 3),
        ("key", "ci", 5),
        ("model", "", 3),
        ("cost_status", "exact", 5),
        ("project", "x", 0),
    ]:
        assert whole(database, UsageQuery(filters={name: value})).cost == cost, name
    assert whole(database, UsageQuery(estimated=False)) == sums_of([a_span(cost=5)])


def test_beyond_the_most_groups_the_rest_is_one_sum(database: Database) -> None:
    SpanStore(database).save([(a_span(model=f"m{number}", cost=number * 10**10), None) for number in range(6)])
    [found] = UsageStore(database).usage(UsageQuery(by=("model",), most=2), FOREVER)
    assert [group for group, _ in found.groups] == [("m5",), ("m4",)]
    assert found.rest is not None
    assert (found.rest.calls, found.rest.cost) == (4, 6 * 10**10)

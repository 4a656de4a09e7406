"""What rules say of a call, on its way into the store: over the recorder's loop, a store made for the purpose, and the real one."""

import logging
from dataclasses import replace

import pytest

from domain.decisions import Decision
from domain.deliveries import Owed
from domain.exchange import Labels
from domain.prices import Cost
from domain.rulings import Ruling
from domain.spans import as_json
from recorder.recorder import Policy, Recorder
from routing.rules import RuleValue, SpanRules
from storage.database import open_database
from storage.deliveries import DeliveryStore
from storage.spans import SpanStore
from tests.recorder.exchanges import exchange
from tests.recorder.test_recorder import SECRET, Source, Store

ROUTED = Decision("cheap first", matched=True, why="openai", kind="route")
TAKES = {"langfuse": "spans", "bucket": "spans"}


def labelled(number, **labels):
    return exchange(number, labels=Labels(**labels))


def recorded(exchanges, rules, store=None, **more):
    store = store or Store()
    recorder = Recorder(Source(exchanges), store, Policy(), rules=rules, **more)
    recorder.step()
    return store, recorder


def test_what_rules_decide_is_on_the_call_behind_what_routes_decided():
    one = exchange(0)
    routed = replace(one, opening=replace(one.opening, decisions=(ROUTED,)))
    rules = SpanRules(
        [RuleValue("all", send_to=("langfuse",)), RuleValue("dear", when="cost_usd > 1.0", send_to=("bucket",))], TAKES
    )
    store, _ = recorded([routed], rules.decide)
    [span] = store.spans
    assert [(one.rule, one.matched, one.kind) for one in span.decisions] == [
        ("cheap first", True, "route"),
        ("all", True, "rule"),
        ("dear", False, "rule"),
    ]
    assert as_json(span)["rules"][2] == {"kind": "rule", "rule": "dear", "matched": False, "why": "cost_usd is not known"}
    assert store.deliveries == {span.id: (Owed("langfuse"),)}


def test_a_call_that_no_rule_sends_anywhere_owes_nothing():
    rules = SpanRules([RuleValue("errors", when='outcome != "ok"', send_to=("langfuse",))], TAKES)
    store, _ = recorded([exchange(0)], rules.decide)
    assert len(store.spans) == 1
    assert store.deliveries == {}


def test_without_rules_nothing_is_decided_or_owed():
    store, _ = recorded([exchange(0)], None)
    assert store.spans[0].decisions == ()
    assert store.deliveries == {}


def test_rules_see_the_finished_call_with_its_price():
    seen = []

    def rules(span):
        seen.append((span.cost, span.cost_status, span.latency_ms is not None))
        return Ruling()

    recorded([exchange(0)], rules, price=lambda *_: Cost("exact", 5, ()))
    assert seen == [(5, "exact", True)]


def test_a_rule_that_fails_costs_no_call_its_record_and_says_so_without_a_word_of_the_call(caplog):
    def rules(span):
        raise ValueError(SECRET)

    store, recorder = recorded([exchange(0), exchange(1)], rules)
    assert len(store.spans) == 2
    assert recorder.progress.recorded == 2
    assert store.spans[0].decisions[0].why.startswith("the rules failed, and nobody was told: ValueError ")
    assert SECRET not in caplog.text
    assert "the rules could not be asked" in caplog.text
    assert store.deliveries == {}


def test_a_call_saved_bare_is_owed_to_whom_rules_say_without_the_fields_that_they_made(caplog):
    refused = []

    class Fussy(Store):
        def save(self, records, owed, deliveries):
            for span, content in records:
                if span.labels.tags.get("odd") and content is not None:
                    refused.append(span.id)
                    raise ValueError(SECRET)
            return super().save(records, owed, deliveries)

    rules = SpanRules([RuleValue("all", send_to=("langfuse",), otherwise="bucket", set={"team": "tags.odd"})], TAKES)
    store, recorder = recorded([exchange(0), labelled(1, tags={"odd": "x"})], rules.decide, Fussy())
    assert len(store.spans) == 2
    assert refused
    assert recorder.progress.unreadable == 1
    [bare] = [span for span in store.spans if span.notes and "could not be stored whole" in span.notes[0]]
    assert store.deliveries[bare.id] == [Owed("langfuse", otherwise="bucket")]
    whole = next(span for span in store.spans if span is not bare)
    assert "team is not set" in whole.decisions[0].why
    assert store.deliveries[whole.id][0].extra == {}
    assert SECRET not in caplog.text


def test_a_batch_that_is_read_again_is_decided_the_same():
    rules = SpanRules(
        [RuleValue("taste", send_to=("langfuse",), sample=0.5), RuleValue("ab", split={"langfuse": 1, "bucket": 1})], TAKES
    )
    exchanges = [labelled(number, session=f"s{number}") for number in range(50)]
    first, _ = recorded(exchanges, rules.decide)
    again, _ = recorded(exchanges, SpanRules(rules.values, TAKES).decide)
    assert first.deliveries == again.deliveries
    assert 0 < len([one for owed in first.deliveries.values() for one in owed if one.destination == "langfuse"]) < 100


def test_who_delivers_hears_how_many_are_owed_to_whom_once_they_are_saved():
    heard = []
    rules = SpanRules([], TAKES)
    store = Store()
    recorded(
        [exchange(0), exchange(1)], rules.decide, store, delivering=lambda owed: heard.append((dict(owed), len(store.spans)))
    )
    recorded([], rules.decide, delivering=heard.append)
    assert heard == [({"langfuse": 2, "bucket": 2}, 2)]


def test_one_who_is_told_and_fails_stops_nothing(caplog):
    def delivering(owed):
        raise RuntimeError(SECRET)

    with caplog.at_level(logging.ERROR):
        store, recorder = recorded([exchange(0)], SpanRules([], TAKES).decide, delivering=delivering)
    assert recorder.progress.recorded == 1
    assert len(store.spans) == 1


@pytest.fixture
def database(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'calls.db'}")
    database.upgrade()
    yield database
    database.close()


def test_what_is_owed_is_in_the_store_with_the_call_once_however_often_its_batch_is_read(database):
    spans, deliveries = SpanStore(database), DeliveryStore(database, office="this one")
    rules = SpanRules(
        [RuleValue("all", send_to=("langfuse",)), RuleValue("odd", when='tags.a == "b"', send_to=("bucket",))], TAKES
    )
    exchanges = [exchange(0), labelled(1, tags={"a": "b"})]
    for _ in range(2):
        recorded(exchanges, rules.decide, spans)
    assert {name: counts.pending for name, counts in deliveries.counts().items()} == {"langfuse": 2, "bucket": 1}


def test_decisions_are_kept_with_the_call_in_the_store(database):
    spans = SpanStore(database)
    rules = SpanRules(
        [RuleValue("half \ud800"[:5], send_to=("langfuse",)), RuleValue("user", when="tags[user] == 'x'", drop=True)], TAKES
    )
    one = labelled(0, user="\ud800", tags={"a": "b"})
    recorded([one], rules.decide, spans)
    kept = spans.span(one.opening.id)
    assert [(one.rule, one.matched) for one in kept.decisions] == [("half ", True), ("user", False)]
    assert kept.decisions[1].why.startswith("there is no tag")

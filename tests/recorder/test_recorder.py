"""The recorder's loop, over a journal and a store made for the purpose; the real ones are in tests/gateway/test_office.py."""

import logging
import threading
import time
from dataclasses import replace

import pytest

from domain.calls import Call
from domain.errors import StoreUnavailable
from recorder.recorder import IDLE_WAIT, LONGEST_WAIT, PRUNE_MOST, Policy, Recorder, patience_after
from storage.retention import Pruned
from tests.recorder.exchanges import closing, exchange

SECRET = "the prompt that must not be logged"


class Source:
    """A journal of batches."""

    def __init__(self, *batches):
        self.waiting = list(batches)
        self.read_now = None
        self.rewound = 0

    def read(self):
        if not self.waiting:
            return []
        self.read_now = self.waiting[0]
        return self.read_now

    def saved(self):
        self.waiting.pop(0)

    def rewind(self):
        self.rewound += 1


class Store:
    """A store that fails as often as it is told to."""

    def __init__(self, failures=(), refuses=lambda _span: False):
        self.spans = []
        self.contents = []
        self.owed = {}
        self.deliveries = {}
        self.failures = list(failures)
        self.refuses = refuses
        self.pruned = []
        self.prunes = Pruned()

    def save(self, records, owed, deliveries):
        if self.failures:
            raise self.failures.pop(0)
        if any(self.refuses(span) for span, _ in records):
            raise ValueError(SECRET)
        self.deliveries |= {span.id: deliveries[span.id] for span, _ in records if span.id in deliveries}
        self.spans += [span for span, _ in records]
        self.contents += [content for _, content in records]
        self.owed |= owed
        return len(records)

    def prune(self, *, content_before, spans_before, most):
        self.pruned.append((content_before, spans_before, most))
        return self.prunes


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        tick.wait(0.005)


@pytest.fixture
def running():
    threads = []

    def start(recorder):
        thread = threading.Thread(target=recorder.run)
        thread.start()
        threads.append((recorder, thread))
        return thread

    yield start
    for recorder, thread in threads:
        recorder.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_every_exchange_of_a_batch_becomes_a_span_and_the_batch_is_done():
    source, store, heard = Source([exchange(0), exchange(1)], [exchange(2)]), Store(), []
    recorder = Recorder(source, store, Policy(), told=heard.append, now=lambda: 5.0)
    assert recorder.step()
    assert recorder.step()
    assert not recorder.step()
    assert len(store.spans) == 3
    assert [len(batch) for batch in heard] == [2, 1]
    assert recorder.progress.recorded == 3
    assert recorder.progress.last_saved_at == 5.0


def test_an_exchange_that_cannot_be_interpreted_is_recorded_without_its_meaning_and_without_a_word_of_it_in_the_log(caplog):
    odd = exchange(1, model="gpt-4o")

    def interpret(one):
        if one is odd:
            raise ValueError(SECRET)
        return Call("chat", "ok")

    source, store = Source([exchange(0), odd, exchange(2)]), Store()
    recorder = Recorder(source, store, Policy(), interpret=interpret)
    recorder.step()
    assert [span.operation for span in store.spans] == ["chat", "unknown", "chat"]
    assert store.spans[1].model == "gpt-4o"
    assert store.contents[1].request == odd.request
    assert store.spans[1].notes[0].startswith("could not be interpreted: ValueError ")
    assert recorder.progress.unreadable == 1
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (closing(), "ok"),
        (closing(status=404), "error"),
        (closing(ending="refused"), "denied"),
        (closing(ending="client_gone"), "cancelled"),
        (closing(ending="upstream_cut"), "error"),
    ],
)
def test_an_uninterpreted_call_still_says_how_it_ended(end, outcome):
    def interpret(_one):
        raise RuntimeError

    store = Store()
    Recorder(Source([exchange(end=end)]), store, Policy(), interpret=interpret).step()
    assert store.spans[0].outcome == outcome


def test_an_interrupted_call_that_cannot_be_interpreted_is_interrupted():
    def interpret(_one):
        raise RuntimeError

    store = Store()
    Recorder(Source([replace(exchange(), closing=None)]), store, Policy(), interpret=interpret).step()
    assert store.spans[0].outcome == "interrupted"


def test_content_that_might_need_redaction_is_not_kept_where_interpreting_failed():
    def interpret(_one):
        raise RuntimeError

    store = Store()
    Recorder(Source([exchange()]), store, Policy(capture="redacted"), interpret=interpret).step()
    assert store.contents == [None]


def test_a_span_that_the_store_refuses_costs_nobody_else_their_record(caplog):
    bad = exchange(3, path="/v1/\x00")
    source = Source([exchange(index) for index in range(3)] + [bad, exchange(4)])
    store = Store(refuses=lambda span: "\x00" in span.path)
    recorder = Recorder(source, store, Policy())
    assert recorder.step()
    assert len(store.spans) == 5
    refused = next(span for span in store.spans if span.id == bad.opening.id)
    assert refused.notes[0].startswith("could not be stored whole: ValueError")
    assert SECRET not in caplog.text
    assert not source.waiting


def test_while_the_store_is_away_nothing_is_lost_and_the_same_batch_comes_again(running, caplog):
    source = Source([exchange(0)], [exchange(1)])
    store = Store(failures=[StoreUnavailable("refused")] * 3)
    recorder = Recorder(source, store, Policy())
    with caplog.at_level(logging.WARNING):
        running(recorder)
        until(lambda: recorder.progress.recorded == 2)
    assert source.rewound == 3
    assert recorder.progress.failures == 3
    assert recorder.progress.last_error is None
    assert caplog.text.count("the store is away") == 1


def test_the_age_of_what_waits_is_known_while_the_store_is_away(running):
    store = Store(failures=[StoreUnavailable("refused")] * 10_000)
    recorder = Recorder(Source([exchange(0)]), store, Policy())
    running(recorder)
    until(lambda: recorder.progress.failures > 0)
    assert recorder.progress.waiting_since == exchange(0).opening.at / 1e9
    assert recorder.progress.last_error == "the store is away: refused"


def test_an_error_nobody_thought_of_is_waited_out_too(running):
    class Broken(Source):
        broken = 2

        def read(self):
            if self.broken:
                self.broken -= 1
                raise OSError(SECRET)
            return super().read()

    store = Store()
    recorder = Recorder(Broken([exchange(0)]), store, Policy())
    running(recorder)
    until(lambda: recorder.progress.recorded == 1)
    assert recorder.progress.failures == 2


def test_a_listener_that_fails_stops_nothing():
    def told(_spans):
        raise RuntimeError

    store = Store()
    assert Recorder(Source([exchange(0)]), store, Policy(), told=told).step()
    assert len(store.spans) == 1


def test_stop_ends_the_loop_after_the_batch_it_is_at():
    saving, go_on = threading.Event(), threading.Event()

    class Slow(Store):
        def save(self, records, owed, deliveries):
            saving.set()
            assert go_on.wait(10)
            return super().save(records, owed, deliveries)

    source, store = Source([exchange(0)], [exchange(1)]), Slow()
    recorder = Recorder(source, store, Policy())
    thread = threading.Thread(target=recorder.run)
    thread.start()
    assert saving.wait(10)
    recorder.stop()
    go_on.set()
    thread.join(10)
    assert not thread.is_alive()
    assert len(store.spans) == 1
    assert len(source.waiting) == 1


def test_what_is_too_old_is_pruned_in_steps_and_sooner_while_there_is_more():
    times = iter([1_000_000.0, 1_000_010.0, 1_000_061.0, 1_000_061.5, 1_000_062.5])
    store = Store()
    recorder = Recorder(Source(), store, Policy(keep_content=1000, keep_spans=5000), now=lambda: next(times))
    recorder._prune_when_due()
    assert store.pruned == [(999_000 * 10**9, 995_000 * 10**9, PRUNE_MOST)]
    recorder._prune_when_due()
    assert len(store.pruned) == 1
    store.prunes = Pruned(contents=300, spans=200)
    recorder._prune_when_due()
    recorder._prune_when_due()
    assert len(store.pruned) == 2
    recorder._prune_when_due()
    assert len(store.pruned) == 3
    assert recorder.progress.pruned == 1000


def test_what_calls_owe_is_saved_with_them():
    held, free = exchange(0), exchange(1)
    held.opening.hold = '{"id":"its-hold","claims":[["b@requests:total",1,"requests"]]}'
    store = Store()
    Recorder(Source([held, free]), store, Policy()).step()
    assert len(store.spans) == 2
    assert list(store.owed) == [held.opening.id]
    owed = store.owed[held.opening.id]
    assert (owed.hold, [one.amount for one in owed.owed]) == ("its-hold", [1])


def test_a_call_that_could_not_be_stored_whole_owes_what_it_cost():
    held = exchange(0)
    held.opening.hold = '{"id":"its-hold","claims":[["b@requests:total",1,"requests"]]}'
    store = Store(refuses=lambda span: span.path != "")
    Recorder(Source([held]), store, Policy()).step()
    assert [span.path for span in store.spans] == [""]
    assert list(store.owed) == [held.opening.id]


def test_the_recorder_says_when_it_has_read_the_journal_to_its_end():
    recorder = Recorder(Source([exchange(number) for number in range(256)], [exchange(256)]), Store(), Policy())
    assert not recorder.progress.caught_up
    recorder.step()
    assert not recorder.progress.caught_up
    recorder.step()
    assert recorder.progress.caught_up
    idle = Recorder(Source(), Store(), Policy())
    idle.step()
    assert idle.progress.caught_up


def test_calls_are_gathered_for_longer_while_they_keep_coming_and_the_first_after_a_pause_is_shown_soon():
    waits = [IDLE_WAIT]
    for recorded in (1, 7, 1, 30, 1):
        waits.append(patience_after(waits[-1], recorded))
    assert waits == sorted(waits)
    assert waits[1] > IDLE_WAIT
    assert waits[-1] == LONGEST_WAIT <= 0.5
    assert patience_after(LONGEST_WAIT, 0) == IDLE_WAIT <= 0.2

"""Replays: which spans are owed again, how fast, and what a restart, a stop and a store that is away do to one."""

import threading
from contextlib import closing

import pytest

from domain.deliveries import Owed
from domain.errors import StoreUnavailable
from domain.replays import ReplayAsked
from recorder.replaying import FORGOTTEN, MOST_KEPT, MOST_RUNNING, Replays
from storage.database import open_database
from storage.spans import SpanStore
from tests.dashboard.spans import AT, span

SECOND = 10**9
LATER = AT + 10**6 * SECOND


class Queue:
    """Keeps what is owed; a destination that sends nothing while a test says so."""

    def __init__(self):
        self.owed = []
        self.has = set()
        self.held = 0
        self.error = None

    def known(self, _destination, ids):
        return {one for one in ids if one in self.has}

    def replay(self, destination, ids, owed):
        if self.error:
            raise self.error
        self.owed += [(destination, one, owed) for one in ids]
        return len(ids)

    def waiting(self, _destination, lane, *, most):
        assert lane == "replay"
        return min(self.held, most)

    @property
    def ids(self):
        return [one for _, one, _ in self.owed]


class Desk:
    """Replays with a clock that only tests move."""

    def __init__(self, path, spans, **more):
        self.path, self.spans, self.more = path, spans, more
        self.queue = more.pop("queue", None) or Queue()
        self.seconds = 0.0
        self.replays = self.restarted()

    def restarted(self):
        self.replays = Replays(
            self.path,
            self.spans,
            self.queue,
            now=lambda: LATER / SECOND + self.seconds,
            monotonic=lambda: self.seconds,
            **self.more,
        )
        return self.replays

    def begin(self, **asked):
        return self.replays.begin(ReplayAsked(**{"destination": "hook", "until": LATER, "rate": 1000.0} | asked))

    def run(self, steps=1000):
        """Step until nothing runs, going ahead in time as far as each step says; return the seconds that took."""
        began = self.seconds
        for _ in range(steps):
            pause = self.replays.step()
            if all(one.state != "running" for one in self.replays.all()):
                break
            self.seconds += pause
        return self.seconds - began


@pytest.fixture
def spans(tmp_path):
    with closing(open_database(f"sqlite:///{tmp_path}/store.db")) as database:
        database.upgrade()
        yield SpanStore(database)


@pytest.fixture
def saved(spans):
    made = [span(number, model="gpt-4o" if number % 3 else "o3") for number in range(60)]
    spans.save([(one, None) for one in made])
    return made


@pytest.fixture
def desk(tmp_path, spans):
    return Desk(tmp_path / "replays.json", spans)


def test_all_calls_are_owed_once_oldest_first(desk, saved):
    begun = desk.begin()
    desk.run()
    assert desk.queue.ids == [one.id for one in saved]
    done = desk.replays.get(begun.id)
    assert (done.state, done.owed, done.looked, done.cursor, done.place) == ("done", 60, 60, None, saved[-1].started_at)
    assert done.ended_at is not None


def test_a_condition_and_a_period_leave_the_others_out(desk, saved):
    desk.begin(where='model == "o3"', since=saved[10].started_at, until=saved[40].started_at)
    desk.run()
    assert desk.queue.ids == [one.id for one in saved[10:40] if one.model == "o3"]


def test_what_a_destination_has_is_sent_again_only_where_all_is_asked_for(desk, saved):
    desk.queue.has = {one.id for one in saved[:50]}
    desk.begin(only="missing")
    desk.run()
    assert desk.queue.ids == [one.id for one in saved[50:]]
    desk.queue.owed.clear()
    desk.begin(only="all")
    desk.run()
    assert desk.queue.ids == [one.id for one in saved]


def test_the_rate_is_kept(desk, saved):
    desk.begin(rate=10.0)
    took = desk.run()
    assert took == pytest.approx(5.0, abs=1.0)  # the last tenth is not waited for
    desk.begin(rate=0.5)
    desk.run(steps=5)
    assert len(desk.queue.ids) == 65
    for seconds, owed in ((0.0, 66), (1.9, 66), (0.2, 67)):
        desk.seconds += seconds
        desk.replays.step()
        assert len(desk.queue.ids) == owed


def test_few_among_many_are_found_in_few_steps(desk, spans):
    spans.save([(span(number, model="o3" if number == 1999 else "gpt-4o"), None) for number in range(2000)])
    desk.begin(where='model == "o3"', rate=1.0)
    took = desk.run(steps=16)
    assert desk.queue.ids != []
    assert took < 1.0


def test_while_nothing_is_sent_nothing_more_is_owed(desk, saved):
    begun = desk.begin(rate=10.0)
    desk.queue.held = 50
    desk.run(steps=5)
    assert desk.queue.ids == []
    assert desk.replays.get(begun.id).waits == "what was owed before is not sent yet"
    desk.queue.held = 0
    desk.run()
    assert len(desk.queue.ids) == 60
    assert desk.replays.get(begun.id).waits is None


def test_a_killed_office_goes_on_where_it_was(desk, saved):
    begun = desk.begin(rate=7.0)
    desk.run(steps=3)
    before = len(desk.queue.ids)
    assert 0 < before < 60
    desk.restarted()
    desk.run()
    assert desk.queue.ids == [one.id for one in saved]
    assert desk.replays.get(begun.id).owed == 60


def test_a_replay_that_is_stopped_owes_no_more_and_stays_so_after_a_restart(desk, saved):
    begun = desk.begin(rate=7.0)
    desk.run(steps=2)
    before = len(desk.queue.ids)
    assert desk.replays.end(begun.id).state == "stopped"
    desk.seconds += 100
    desk.restarted().step()
    assert len(desk.queue.ids) == before
    assert desk.replays.end(begun.id).state == "stopped"
    assert desk.replays.end("0" * 32) is None
    assert desk.replays.get("0" * 32) is None


def test_a_store_that_is_away_is_waited_for(desk, saved):
    begun = desk.begin()
    desk.queue.error = StoreUnavailable("away")
    desk.run(steps=3)
    assert desk.replays.get(begun.id).waits == "the store is away"
    desk.queue.error = None
    desk.run()
    assert desk.queue.ids == [one.id for one in saved]


def test_a_replay_that_cannot_go_on_says_so_and_holds_up_no_other(desk, saved, caplog):
    bad = desk.begin(destination="odd")
    good = desk.begin()

    def replay(destination, ids, owed, inner=desk.queue.replay):
        if destination == "odd":
            raise ValueError("secret text")
        return inner(destination, ids, owed)

    desk.queue.replay = replay
    desk.run()
    assert desk.replays.get(good.id).state == "done"
    failed = desk.replays.get(bad.id)
    assert (failed.state, failed.error) == ("failed", "ValueError: the log says more")
    assert "cannot go on" in caplog.text


def test_spans_are_owed_as_rules_say_and_the_courier_is_woken(tmp_path, spans, saved):
    woken = []
    bare = Owed("hook", content="none")
    desk = Desk(
        tmp_path / "r.json",
        spans,
        owed_for=lambda one, name: bare if one.model == "o3" else Owed(name),
        woken=lambda: woken.append(1),
    )
    desk.begin()
    desk.run()
    assert {one for _, one, owed in desk.queue.owed if owed == bare} == {one.id for one in saved if one.model == "o3"}
    assert len(desk.queue.owed) == 60
    assert woken


def test_what_rules_keep_from_everybody_is_not_replayed(tmp_path, spans, saved):
    desk = Desk(tmp_path / "r.json", spans, owed_for=lambda one, name: None if one.model == "o3" else Owed(name))
    begun = desk.begin(only="all")
    desk.run()
    assert desk.queue.ids == [one.id for one in saved if one.model != "o3"]
    assert (desk.replays.get(begun.id).looked, desk.replays.get(begun.id).owed) == (60, 40)
    assert desk.replays.estimate(ReplayAsked("hook", LATER), 10.0).spans == 40


def test_a_dry_run_counts_and_owes_nothing(desk, saved):
    desk.queue.has = {saved[0].id}
    asked = ReplayAsked("hook", LATER, where='model == "o3"')
    found = desk.replays.estimate(asked, 10.0)
    assert (found.looked, found.spans, found.bytes, found.whole) == (60, 19, 19 * 4, True)
    assert (desk.queue.owed, desk.replays.all()) == ([], [])


def test_a_dry_run_that_takes_too_long_says_how_far_it_came(desk, spans):
    made = [span(number) for number in range(700)]
    spans.save([(one, None) for one in made])
    found = desk.replays.estimate(ReplayAsked("hook", LATER), 0.0)
    assert (found.looked, found.whole, found.place) == (500, False, made[499].started_at)


def test_only_so_many_run_and_are_remembered(desk, saved):
    begun = [desk.begin() for _ in range(MOST_RUNNING)]
    assert desk.begin() is None
    for one in begun:
        desk.replays.end(one.id)
    for _ in range(MOST_KEPT):
        desk.replays.end(desk.begin().id)
    assert len(desk.replays.all()) == MOST_KEPT
    assert desk.begin() is not None


@pytest.mark.parametrize("text", ["", "{", "[7]", '[{"id": 1}]'])
def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path, spans, text, caplog):
    (tmp_path / "r.json").write_text(text)
    desk = Desk(tmp_path / "r.json", spans)
    assert desk.replays.all() == []
    assert "cannot be read" in caplog.text
    desk.begin()
    assert len(desk.restarted().all()) == 1


def test_the_loop_runs_and_stops(tmp_path, spans, saved):
    queue = Queue()
    owed = threading.Event()
    replays = Replays(tmp_path / "r.json", spans, queue, woken=owed.set)
    thread = threading.Thread(target=replays.run)
    thread.start()
    replays.begin(ReplayAsked("hook", LATER, rate=1000.0))
    assert owed.wait(30)
    replays.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert len(queue.ids) == 60


def test_one_that_is_stopped_in_the_middle_of_a_step_stays_stopped_and_counts_that_step(desk, saved):
    begun = desk.begin(rate=7.0)

    def replay(destination, ids, owed, inner=desk.queue.replay):
        desk.replays.end(begun.id)
        return inner(destination, ids, owed)

    desk.queue.replay = replay
    desk.run(steps=3)
    stopped = desk.replays.get(begun.id)
    assert (stopped.state, stopped.owed, len(desk.queue.ids)) == ("stopped", 7, 7)


def test_a_file_that_cannot_be_written_does_not_stop_a_replay(tmp_path, spans, saved, caplog):
    folder = tmp_path / "folder"
    folder.mkdir()
    desk = Desk(folder / "r.json", spans)
    folder.rmdir()
    desk.begin()
    desk.run()
    assert len(desk.queue.ids) == 60
    assert "cannot be written down" in caplog.text


def test_no_step_is_begun_after_the_end(desk, saved):
    desk.begin()
    desk.replays.stop()
    desk.replays.step()
    desk.replays.run()
    assert desk.queue.ids == []


def test_the_courier_is_told_how_fast_and_when_that_is_over(tmp_path, spans, saved):
    told = []
    desk = Desk(tmp_path / "r.json", spans, paced=lambda name, rate: told.append((name, rate)))
    desk.replays.step()
    assert told == []
    first, _ = desk.begin(rate=2.0), desk.begin(rate=3.0)
    desk.replays.step()
    desk.replays.step()
    assert told == [("hook", 5.0)]
    desk.seconds += 6
    desk.replays.step()
    assert told == [("hook", 5.0)] * 2, "a courier that starts later hears of it too"
    desk.replays.end(first.id)
    desk.replays.step()
    desk.run()
    desk.replays.step()
    assert told[2] == ("hook", 3.0)
    assert told[-1] == ("hook", None)


@pytest.mark.parametrize(
    "where",
    [
        'customer == "acme" && cost_usd > 0.1',
        "customer in ['x', 'ACME']",
        'customer == "\\x61cme"',
        "status == 500 // for acme",
        'user == "joe" || user == "acme labs"',
    ],
)
def test_a_condition_that_names_somebody_is_forgotten_and_its_replay_stopped(desk, saved, where):
    done = desk.begin(where=where)
    desk.run()
    running = desk.begin(where=where, rate=1.0)
    assert desk.replays.forget(["acme"]) == 2
    assert desk.replays.forget(["acme"]) == 0
    for _ in range(2):
        assert [desk.replays.get(one.id).state for one in (done, running)] == ["done", "stopped"]
        assert {one.asked.where for one in desk.replays.all()} == {FORGOTTEN}
        assert "acme" not in desk.path.read_text().lower()
        desk.restarted()
    assert desk.replays.estimate(desk.replays.get(done.id).asked, 1.0).spans == 0


@pytest.mark.parametrize("where", [None, 'section == " - "', 'customer == "acmes"', 'tags.acme == "x"', 'model == "o3"'])
def test_other_conditions_stay_and_their_replays_run_on(desk, saved, where):
    begun = desk.begin(where=where)
    assert desk.replays.forget(["acme", ""]) == 0
    assert desk.replays.get(begun.id) == begun


def test_a_condition_that_cannot_be_read_is_forgotten(desk, saved):
    desk.begin(where='customer == "acme')
    assert desk.replays.forget(["somebody"]) == 1

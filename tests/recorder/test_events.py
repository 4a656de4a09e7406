"""Events: told to whom rules say, once each; and budget warnings among them."""

from contextlib import closing

import pytest

from domain.budgets import Budget, Scope, Window, WindowRule
from domain.deliveries import Owed
from domain.errors import StoreUnavailable
from domain.events import Event
from domain.ledger import Standing
from domain.windows import counter_name
from recorder.budget_warnings import Warner
from recorder.events import Events
from storage.budgets import BudgetStore
from storage.database import open_database
from storage.deliveries import DeliveryStore

MONTH = Window(0, 2_678_400)
BUDGET = Budget("b-1", Scope("key", "ci"), 20 * 10**9, WindowRule("month"))
TROUBLE = Event("e" * 32, "destination.failing", 5, "error", "hook", "The destination hook is failing.")


class Queue:
    """Keeps what is owed, by event; away or broken while a test says so."""

    def __init__(self):
        self.owed = {}
        self.error = None

    def owe_event(self, event, destinations):
        if self.error:
            raise self.error
        if event.id in self.owed:
            return False
        self.owed[event.id] = (event, [one.destination for one in destinations])
        return True


class Teller:
    """Events with rules that can be changed."""

    def __init__(self, rules=("hook", "chat"), queue=None):
        self.queue = queue or Queue()
        self.woken = 0
        self.rules = [Owed(name) for name in rules]
        self.events = Events(self.queue, self._owed, woken=self._wake)

    def _owed(self, _event):
        return list(self.rules)

    def _wake(self):
        self.woken += 1

    @property
    def told(self):
        return [(event.type, names) for event, names in self.queue.owed.values()]


@pytest.fixture
def store(tmp_path):
    with closing(open_database(f"sqlite:///{tmp_path}/store.db")) as database:
        database.upgrade()
        yield BudgetStore(database)


def test_an_event_goes_to_whom_rules_say_and_the_courier_is_woken():
    teller = Teller()
    assert teller.events.tell(Event("1" * 32, "budget.warning", 5, "warning", "key:ci", "m"))
    assert teller.told == [("budget.warning", ["hook", "chat"])]
    assert teller.woken == 1


def test_the_same_event_is_told_once():
    teller = Teller()
    assert [teller.events.tell(TROUBLE) for _ in range(3)] == [True, False, False]
    assert teller.woken == 1


def test_an_event_that_no_rule_sends_anywhere_is_not_kept():
    teller = Teller(rules=())
    assert not teller.events.tell(TROUBLE)
    assert teller.queue.owed == {}


def test_a_destination_in_trouble_does_not_hear_of_its_own_trouble():
    teller = Teller()
    teller.events.tell(TROUBLE)
    assert teller.told == [("destination.failing", ["chat"])]
    alone = Teller(rules=("hook",))
    assert not alone.events.tell(TROUBLE)


def test_rules_that_fail_harm_nobody(caplog):
    teller = Teller()
    teller.rules = None
    assert not teller.events.tell(TROUBLE)
    assert "cannot say who is to hear" in caplog.text


def test_a_queue_that_fails_harms_nobody_and_a_store_that_is_away_is_said(caplog):
    teller = Teller()
    teller.queue.error = ValueError("odd")
    assert not teller.events.tell(TROUBLE)
    assert "cannot be told" in caplog.text
    teller.queue.error = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        teller.events.tell(TROUBLE)


def warner(store, teller, *budgets, now=1000.0):
    by_id = {budget.id: budget for budget in budgets or (BUDGET,)}
    return Warner(lambda: by_id, store, lambda: now, tell=teller.events.tell)


def spent(nano, budget=BUDGET, member=None, window=MONTH):
    return {counter_name(budget, member, window): Standing(nano, 0)}


def test_a_share_of_a_budget_is_a_warning_and_all_of_it_is_more(store):
    teller = Teller()
    warner(store, teller).told(spent(16 * 10**9))
    warner(store, teller).told(spent(20 * 10**9))
    events = [event for event, _ in teller.queue.owed.values()]
    assert [(event.type, event.severity, event.data["threshold"]) for event in events] == [
        ("budget.warning", "warning", 0.5),
        ("budget.warning", "warning", 0.8),
        ("budget.warning", "warning", 0.95),
        ("budget.exceeded", "error", 1.0),
    ]
    assert events[1].message == "The budget key:ci has come to 80 % of its limit: $16.00 of $20.00 spent."
    assert events[3].message == "The budget key:ci is used up: $20.00 of $20.00 spent."
    assert events[1].data == {
        "budget": "b-1",
        "name": "key:ci",
        "member": None,
        "threshold": 0.8,
        "spent": "16.00",
        "limit": "20.00",
        "unit": "usd",
    }
    assert (events[1].subject, events[1].at) == ("key:ci", 1000 * 10**9)


def test_each_window_member_and_share_is_told_once_whoever_looks_and_however_often(store):
    teller = Teller()
    each = Budget("b-2", Scope("customer", share="each"), 100, WindowRule("month"), unit="tokens", warn_at=(0.5,))
    for _ in range(2):
        for desk in (warner(store, teller, each), warner(store, teller, each)):
            for window in (MONTH, Window(2_678_400, 5_097_600)):
                for member in ("acme", "b|b@c", "c"):
                    desk.told(spent(60, each, member, window))
                    desk.told(spent(70, each, member, window))
    assert len(teller.told) == 6
    [first, *_] = [event for event, _ in teller.queue.owed.values()]
    assert first.message == "The budget customer:*, acme has come to 50 % of its limit: 60 tokens of 100 tokens spent."
    assert [event.data["member"] for event, _ in teller.queue.owed.values()][:3] == ["acme", "b|b@c", "c"]


def test_what_was_told_long_ago_is_not_told_again_after_a_restart(store):
    """Events are forgotten with their age, warnings are not."""
    teller = Teller()
    warner(store, teller).told(spent(10 * 10**9))
    teller.queue.owed.clear()
    warner(store, teller).told(spent(11 * 10**9))
    assert teller.queue.owed == {}


def test_an_office_that_ends_between_event_and_warning_tells_it_once(store):
    teller = Teller()

    class Ends:
        """A store whose office ends before the warning is kept."""

        unwarned = staticmethod(store.unwarned)

        def warn(self, _warnings):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        warner(Ends(), teller).told(spent(10 * 10**9))
    warner(store, teller).told(spent(10 * 10**9))
    assert len(teller.told) == 1
    assert len(store.warnings()) == 1


def test_while_the_queue_is_away_no_warning_is_kept_and_it_is_told_when_it_is_back(store):
    teller = Teller()
    desk = warner(store, teller)
    teller.queue.error = StoreUnavailable("away")
    desk.told(spent(10 * 10**9))
    assert store.warnings() == []
    teller.queue.error = None
    desk.told({})
    assert (len(teller.told), len(store.warnings())) == (1, 1)


def test_in_a_real_store_two_offices_and_a_restart_tell_it_once(tmp_path):
    with closing(open_database(f"sqlite:///{tmp_path}/store.db")) as database:
        database.upgrade()
        for office in ("this one", "another one", "this one after a restart"):
            queue = DeliveryStore(database, office=office)
            teller = Teller(rules=("hook",), queue=queue)
            warner(BudgetStore(database), teller).told(spent(16 * 10**9))
            teller.events.tell(Event("x", "destination.test", 1, "info", "hook", "m"))
        counts = queue.counts()
        claims = queue.claim("hook", "live", now=2**62, most=100, most_bytes=10**6)
    assert (counts["hook"].accepted, counts["hook"].pending) == (3, 3)
    assert [(claim.event.type, claim.event.subject) for claim in claims] == [
        ("budget.warning", "key:ci"),
        ("budget.warning", "key:ci"),
        ("destination.test", "hook"),
    ]
    assert claims[1].event.message == "The budget key:ci has come to 80 % of its limit: $16.00 of $20.00 spent."

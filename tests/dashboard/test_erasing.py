"""Somebody is forgotten: nothing in the store or beside it names them any more, and everybody else's calls stay."""

import time

import pytest

from dashboard.erasing import erase_until
from domain.deliveries import Owed
from domain.exchange import Labels
from domain.replays import ReplayAsked
from recorder.budget_events import event_of
from recorder.replaying import FORGOTTEN
from storage.budgets import BudgetWarning
from storage.spans import CallQuery
from tests.dashboard.spans import content, span
from tests.dashboard.test_calls import problem
from tests.dashboard.test_destinations import client, configs, sink  # noqa: F401 - fixtures

NAME = "zebra-customer"


def of(number, **labels):
    return span(number, labels=Labels(**labels))


def stored(office):
    return {call.id for call in office.spans.calls(CallQuery(limit=1000)).spans}


def test_whoever_is_erased_is_named_nowhere(office, client, tmp_path):  # noqa: F811
    gone = [of(1, customer=NAME), of(2, customer=NAME, user="u2", tags={"t": NAME})]
    others = [of(3, customer="other"), of(4, user=NAME), of(5)]
    office.spans.save([(one, content()) for one in (*gone, *others)], deliveries={one.id: [Owed("hook")] for one in gone})
    warning = BudgetWarning("b1", "customers", NAME, f"b1|{NAME}@usd:0+3600", 0, 800_000, 8, 10, "usd", 1000.0)
    office.desk.store.owe_event(event_of(warning), [Owed("other")])
    replay = office.desk.replays.begin(ReplayAsked("hook", until=1, where=f'customer == "{NAME}"'))
    assert client.post("/api/v1/erase", json={"customer": NAME}).json() == {
        "erased": 2,
        "events": 1,
        "conditions": 1,
        "next": None,
    }
    assert stored(office) == {one.id for one in others}
    assert office.desk.replays.get(replay.id).asked.where == FORGOTTEN
    assert client.post("/api/v1/erase", json={"customer": NAME}).json() == {
        "erased": 0,
        "events": 0,
        "conditions": 0,
        "next": None,
    }
    assert client.post("/api/v1/erase", json={"user": NAME}).json()["erased"] == 1
    for path in ("calls", "replays", "deliveries"):
        assert NAME not in client.get(f"/api/v1/{path}").text
    for file in tmp_path.glob("*.json"):
        assert NAME not in file.read_text()


def test_erasing_stops_when_its_time_is_over_and_is_gone_on_with(office):
    made = [of(number, user="u") for number in range(12)]
    office.spans.save([(one, None) for one in made])
    calls, events, place = erase_until(time.monotonic(), office.spans, ("user", "u"), 0, most=5)
    assert (calls, events) == (5, 0)
    with office.client() as client:  # noqa: F811
        assert client.post("/api/v1/erase", json={"user": "u", "after": place}).json()["erased"] == 7
    assert stored(office) == set()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"customer": "a", "user": "b"},
        {"customer": ""},
        {"customer": 5},
        {"user": None},
        {"user": "x" * 1001},
        {"user": "a", "after": -1},
        {"user": "a", "after": "1"},
        {"user": "a", "after": 2**63},
        {"usr": "a"},
    ],
)
def test_what_names_nobody_is_refused(office, body):
    with office.client() as client:  # noqa: F811
        assert problem(client.post("/api/v1/erase", json=body), 400)


def test_nobody_else_may_erase(office):
    with office.client(token=None) as client:  # noqa: F811
        assert client.post("/api/v1/erase", json={"user": "a"}).status_code == 401

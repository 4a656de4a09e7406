"""A made-up past, made and taken away."""

import time

import pytest

from dashboard.demo import erase_until
from domain.exchange import Labels
from storage.spans import CallQuery
from tests.dashboard.spans import content, span
from tests.dashboard.test_calls import problem


def stored(office):
    return office.spans.calls(CallQuery(limit=1000)).spans


def test_a_past_is_made_once_and_goes_whole_while_other_calls_stay(office):
    others = [span(1), span(2, labels=Labels(env="production")), span(3, labels=Labels(session="env=demo", tags={"env": "demo"}))]
    office.spans.save([(other, content()) for other in others])
    with office.client() as client:
        made = client.post("/api/v1/demo", json={"history": "2h"})
        assert (made.status_code, made.json()) == (201, {"made": 12, "new": 12})
        again = client.post("/api/v1/demo", json={"history": "2h"}).json()
        assert again["made"] == 12
        assert again["new"] <= 1
        assert len(stored(office)) == 15 + again["new"]
        cleared = client.delete("/api/v1/demo").json()
        assert cleared == {"erased": 12 + again["new"], "next": None}
        assert client.delete("/api/v1/demo").json() == {"erased": 0, "next": None}
    assert {call.id for call in stored(office)} == {other.id for other in others}
    assert all(office.spans.content(other.id) for other in others)


def test_clearing_stops_when_its_time_is_over_and_is_gone_on_with(office):
    with office.client() as client:
        client.post("/api/v1/demo", json={"history": "2h"})
        erased, place = erase_until(time.monotonic(), office.spans, 0, most=5)
        assert erased == 5
        assert len(stored(office)) == 7
        assert client.delete("/api/v1/demo", params={"after": place}).json() == {"erased": 7, "next": None}
    assert stored(office) == []


@pytest.mark.parametrize("history", [None, 30, "", "30", "1y", "59m", "367d", ["30d"]])
def test_a_past_of_no_length_is_refused(office, history):
    with office.client() as client:
        assert "duration" in problem(client.post("/api/v1/demo", json={"history": history}), 400)
        assert problem(client.post("/api/v1/demo", json={"past": "30d"}), 400)


@pytest.mark.parametrize("after", ["-1", "x", "9" * 30])
def test_a_place_that_is_none_is_refused(office, after):
    with office.client() as client:
        assert problem(client.delete("/api/v1/demo", params={"after": after}), 400)

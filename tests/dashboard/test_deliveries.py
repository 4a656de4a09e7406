"""`/api/v1/deliveries` and the deliveries of a call: lists, reasons, payloads, sending again. With a real courier and a real receiver."""

import base64
import json
from dataclasses import replace

import pytest

from dashboard.deliveries import shown_payload
from destinations.webhook import WebhookConfig
from domain.deliveries import Owed
from domain.events import Event
from tests.dashboard.conftest import until
from tests.dashboard.spans import AT, content, span
from tests.dashboard.test_destinations import SECRET, problem
from tests.destinations.sink import Got, Reply, Sink

POISON = "poison"


def answer_to(got: Got) -> Reply:
    """Refuse what names the poison model, take all else."""
    return Reply(400, b'{"error": "bad model"}') if POISON.encode() in got.body else Reply(204)


@pytest.fixture
def sink():
    with Sink(answer_to) as sink:
        yield sink


@pytest.fixture
def configs(sink):
    return {"hook": WebhookConfig(url=sink.url, secret=SECRET, allow_private=True)}


@pytest.fixture
def client(office):
    until(lambda: all(one.why != "It has not started yet." for one in office.desk.courier.status().values()))
    with office.client() as client:
        yield client


def save(office, *spans, to="hook"):
    office.spans.save([(one, content()) for one in spans], deliveries={one.id: [Owed(to)] for one in spans})
    office.desk.courier.wake()
    return spans


def settled(office, name="hook"):
    def over():
        counts = office.desk.store.counts().get(name)
        return counts is not None and counts.pending == 0

    until(over)


def dead(office, count=3):
    """Let so many calls be dead, and one delivered."""
    made = save(office, *(span(number, model=POISON) for number in range(count)), span(50, model="gpt-4o"))
    settled(office)
    return made[:count]


def deliveries(client, **params):
    return client.get("/api/v1/deliveries", params=params).json()


def test_a_call_shows_where_it_was_sent_and_what_became_of_it(office, client):
    good, bad = save(office, span(0), span(1, model=POISON))
    settled(office)
    assert client.get(f"/api/v1/calls/{good.id}").json()["deliveries"] == [
        {"destination": "hook", "state": "delivered", "attempts": 1, "error": None}
    ]
    [one] = client.get(f"/api/v1/calls/{bad.id}").json()["deliveries"]
    assert (one["state"], one["attempts"]) == ("dead", 1)
    assert "400" in one["error"]
    listed = {call["id"]: call["deliveries"] for call in client.get("/api/v1/calls").json()["calls"]}
    assert [(one["destination"], one["state"]) for one in listed[good.id] + listed[bad.id]] == [
        ("hook", "delivered"),
        ("hook", "dead"),
    ]


def test_deliveries_of_a_call_have_their_attempts_with_status_and_time(office, client):
    [bad] = dead(office, 1)
    [one] = client.get(f"/api/v1/calls/{bad.id}/deliveries").json()["deliveries"]
    assert (one["id"], one["of"], one["state"], one["kind"], one["lane"]) == (bad.id, "call", "dead", "rejected", "live")
    assert [(try_["status"], "400" in try_["error"]) for try_ in one["last_attempts"]] == [(400, True)]
    assert one["owed_at"] <= one["last_attempts"][0]["at"]
    assert (one["due_at"], one["on_its_way"], one["status"]) == (None, False, 400)
    assert client.get(f"/api/v1/calls/{'0' * 32}/deliveries").status_code == 404


def test_lists_are_by_destination_state_kind_and_time_in_pages(office, client):
    bad = dead(office)
    assert [one["id"] for one in deliveries(client, destination="hook", state="dead")["deliveries"]] == [
        one.id for one in bad[::-1]
    ]
    assert len(deliveries(client)["deliveries"]) == 4
    assert len(deliveries(client, state="delivered")["deliveries"]) == 1
    assert deliveries(client, state="pending")["deliveries"] == []
    assert len(deliveries(client, kind="rejected")["deliveries"]) == 3
    assert deliveries(client, kind="expired")["deliveries"] == []
    assert len(deliveries(client, **{"from": "1h"})["deliveries"]) == 4
    assert deliveries(client, to="1h")["deliveries"] == []
    first = deliveries(client, state="dead", limit=2)
    rest = deliveries(client, state="dead", limit=2, cursor=first["next_cursor"])
    assert [one["id"] for one in first["deliveries"] + rest["deliveries"]] == [one.id for one in bad[::-1]]
    assert rest["next_cursor"] is None


def test_lists_can_be_asked_for_by_condition_and_by_id(office, client):
    bad = dead(office)
    where = f'model == "{POISON}"'
    first = deliveries(client, where=where, limit=2)
    assert [one["id"] for one in first["deliveries"]] == [bad[2].id, bad[1].id]
    rest = deliveries(client, where=where, limit=2, cursor=first["next_cursor"])
    assert [one["id"] for one in rest["deliveries"]] == [bad[0].id]
    assert deliveries(client, where='model == "none"')["deliveries"] == []
    dashed = f"{bad[0].id[:8]}-{bad[0].id[8:]}".upper()
    assert [one["id"] for one in deliveries(client, id=dashed)["deliveries"]] == [bad[0].id]
    assert deliveries(client, id=bad[0].id, state="pending")["deliveries"] == []


def test_events_are_listed_too(office, client):
    office.desk.store.owe_event(Event("budget:1", "budget.warning", AT, "warning", "key:ci", POISON), [Owed("hook")])
    office.desk.courier.wake()
    settled(office)
    [one] = deliveries(client, destination="hook", id="budget:1")["deliveries"]
    assert (one["id"], one["of"], one["state"]) == ("budget:1", "event", "dead")
    assert deliveries(client, where="true")["deliveries"] == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"state": "deed"}, "`state` is one of"),
        ({"limit": "0"}, "`limit` is a number"),
        ({"cursor": "x"}, "the cursor is not one"),
        ({"where": "modl == 1"}, "did you mean"),
        ({"from": "x"}, "not a time"),
        ({"kind": "rejcted"}, "did you mean `rejected`?"),
        ({"destinaton": "hook"}, "did you mean `destination`?"),
    ],
)
def test_what_is_wrong_with_a_list_is_said(client, params, said):
    assert said in problem(client.get("/api/v1/deliveries", params=params), 400)


def test_a_list_of_an_unknown_destination_gives_the_nearest(client):
    assert "did you mean `hook`?" in problem(client.get("/api/v1/deliveries?destination=hok"), 404)


def test_what_is_dead_is_sent_again_and_counted(office, client, sink):
    bad = dead(office)
    sink.answering = Reply(204)
    assert client.post("/api/v1/deliveries/retry", json={"destination": "hook"}).json() == {"retried": 3, "next_cursor": None}
    settled(office)
    counts = client.get("/api/v1/destinations/hook").json()["counts"]
    assert counts == {"accepted": 4, "delivered": 4, "pending": 0, "dead": 0, "refused": 0, "dead_kept": 0}
    assert {one["state"] for one in client.get(f"/api/v1/calls/{bad[0].id}/deliveries").json()["deliveries"]} == {"delivered"}


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        ({"kind": "rejected"}, 3),
        ({"kind": "expired"}, 0),
        ({"where": "latency_ms > 10.5"}, 2),
        ({"from": "1h"}, 3),
        ({"to": "1h"}, 0),
    ],
)
def test_what_is_sent_again_can_be_chosen(office, client, sink, chosen, count):
    dead(office)
    sink.answering = Reply(204)
    assert client.post("/api/v1/deliveries/retry", json={"destination": "hook", **chosen}).json()["retried"] == count


def test_single_ones_are_sent_again_or_given_up(office, client, sink):
    bad = dead(office)
    sink.answering = Reply(204)
    body = {"destination": "hook", "ids": [bad[0].id]}
    assert client.post("/api/v1/deliveries/retry", json=body).json()["retried"] == 1
    settled(office)
    assert client.post("/api/v1/deliveries/retry", json=body).json()["retried"] == 0
    body = {"destination": "hook", "ids": [bad[1].id]}
    assert client.post("/api/v1/deliveries/discard", json=body).json() == {"discarded": 1, "next_cursor": None}
    assert [one["id"] for one in deliveries(client, state="dead")["deliveries"]] == [bad[2].id]
    counts = client.get("/api/v1/destinations/hook").json()["counts"]
    assert counts == {"accepted": 4, "delivered": 2, "pending": 0, "dead": 2, "refused": 0, "dead_kept": 1}


def test_what_waits_for_a_destination_that_is_gone_can_be_given_up(office, client):
    save(office, span(0), span(1), to="gone")
    body = {"destination": "gone", "state": "pending"}
    assert client.post("/api/v1/deliveries/discard", json=body).json()["discarded"] == 2
    counts = client.get("/api/v1/destinations/gone").json()["counts"]
    assert (counts["accepted"], counts["pending"], counts["dead"]) == (2, 0, 2)
    assert [one["kind"] for one in deliveries(client, destination="gone")["deliveries"]] == ["removed", "removed"]
    assert "there are hook" in problem(client.post("/api/v1/deliveries/retry", json={"destination": "gone"}), 404)


def test_what_dies_again_meanwhile_is_not_chosen_again(office, client):
    dead(office, 3)
    for _ in range(3):
        assert client.post("/api/v1/deliveries/retry", json={"destination": "hook", "where": "true"}).json() == {
            "retried": 3,
            "next_cursor": None,
        }
        settled(office)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Say whose deliveries"),
        ({"destination": 5}, "`destination` is text"),
        ({"destination": "hook", "ids": []}, "`ids` is a list"),
        ({"destination": "hook", "ids": "x"}, "`ids` is a list"),
        ({"destination": "hook", "ids": [1]}, "`ids` is a list"),
        ({"destination": "hook", "ids": ["x"], "kind": "expired"}, "either `ids`, or conditions"),
        ({"destination": "hook", "state": "delivered"}, "`state` is one of dead"),
        ({"destination": "hook", "where": "1"}, "true or false"),
        ({"destination": "hook", "where": 1}, "is text"),
        ({"destination": "hook", "from": "x"}, "not a time"),
        ({"destination": "hook", "kind": "gaveup"}, "did you mean `gave_up`?"),
        ({"destination": "hook", "cursor": "x"}, "the cursor is not one"),
        ({"destinatoin": "hook"}, "did you mean `destination`?"),
    ],
)
@pytest.mark.parametrize("what", ["retry", "discard"])
def test_what_is_wrong_with_a_choice_is_said(client, what, body, said):
    assert said in problem(client.post(f"/api/v1/deliveries/{what}", json=body), 400)


def payload(client, call_id, name="hook"):
    return client.get(f"/api/v1/calls/{call_id}/deliveries/{name}/payload")


def test_the_payload_of_a_dead_one_is_what_was_kept(office, client, sink):
    [bad] = dead(office, 1)
    shown = payload(client, bad.id).json()
    assert (shown["source"], shown["form"], shown["cut"]) == ("kept", "text", False)
    assert shown["content_type"].startswith("application/json")
    sent = next(got.body for got in sink.got if POISON.encode() in got.body)
    assert (shown["body"].encode(), shown["bytes"]) == (sent, len(sent))
    assert "as it was kept" in shown["note"]


def test_the_payload_of_a_delivered_one_is_made_anew_and_is_the_same(office, client, sink):
    [one] = save(office, span(0))
    settled(office)
    shown = payload(client, one.id).json()
    assert shown["source"] == "encoded"
    assert json.loads(shown["body"]) == json.loads(sink.last.body)
    assert "made anew" in shown["note"]
    assert SECRET not in json.dumps(shown)


def test_a_payload_that_is_no_text_is_base64():
    shown = shown_payload("kept", "", "application/x-protobuf", b"\xff\x00")
    assert (shown["form"], base64.b64decode(shown["body"])) == ("base64", b"\xff\x00")


def test_a_payload_that_there_is_not_says_why(office, client):
    [one] = save(office, span(0), to="gone")
    assert "never owed to `hook`" in problem(payload(client, one.id), 404)
    assert "do not have this destination any more" in problem(payload(client, one.id, "gone"), 409)
    assert "did you mean `gone`" in problem(payload(client, one.id, "gon"), 404)
    assert problem(payload(client, "0" * 32), 404)


def send(client, call_id, name="hook"):
    return client.post(f"/api/v1/calls/{call_id}/deliveries/{name}/send")


def test_one_call_is_sent_again_whatever_became_of_it_and_for_the_first_time(office, client, sink):
    bad, good = save(office, span(0, model=POISON), span(1))
    fresh = span(2)
    office.spans.save([(fresh, content())])
    settled(office)
    sink.answering = Reply(204)
    for one in (bad, good, fresh):
        before = len(sink.got)
        answer = send(client, one.id).json()
        assert (answer["id"], answer["delivery"]["lane"]) == (one.id, "replay")
        until(lambda before=before: len(sink.got) == before + 1)
        assert json.loads(sink.last.body)["data"]["id"] == one.id
        settled(office)
    counts = client.get("/api/v1/destinations/hook").json()["counts"]
    assert (counts["accepted"], counts["delivered"], counts["dead"]) == (4, 4, 0)
    assert office.desk.store.discrepancies() == []
    assert "did you mean `hook`?" in problem(send(client, bad.id, "hok"), 404)


def test_what_rules_keep_from_a_destination_stays_kept_when_it_is_sent_again(office, client, sink):
    one = span(0)
    office.spans.save(
        [(one, content(input={"messages": "the secret text"}))], deliveries={one.id: [Owed("hook", content="none")]}
    )
    office.desk.courier.wake()
    settled(office)
    assert "secret text" not in payload(client, one.id).text
    send(client, one.id)
    until(lambda: len(sink.got) == 2)
    assert all(b"secret text" not in got.body for got in sink.got)


def test_what_a_rule_keeps_from_everybody_is_not_sent_by_hand_either(office, client):
    office.app.state.destinations = replace(office.desk, owed_for=lambda *_: None)
    [one] = save(office, span(0))
    assert "A rule with `drop`" in problem(send(client, one.id), 409)


def test_what_cannot_be_encoded_any_more_says_why(office, client, database):
    class Broken:
        """A courier for which a call is not what it was."""

        def encoded(self, *_):
            raise ValueError("this call cannot be sent there: no")

    [one] = save(office, span(0))
    settled(office)
    office.app.state.destinations = replace(office.desk, courier=Broken())
    assert "cannot be sent there: no" in problem(payload(client, one.id), 409)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE deliveries SET options = x'ff'")
    assert "terms that this call was owed on cannot be read" in problem(payload(client, one.id), 409)
    assert deliveries(client)["deliveries"][0]["id"] == one.id


def test_many_are_chosen_page_by_page(office, client):
    save(office, *(span(number, model="gpt-4o" if number % 2 else "o3") for number in range(1100)), to="gone")
    body = {"destination": "gone", "state": "pending", "where": 'model == "o3"'}
    assert client.post("/api/v1/deliveries/discard", json=body).json() == {"discarded": 550, "next_cursor": None}
    found = deliveries(client, destination="gone", state="dead", where='model == "o3"', limit=500)
    assert len(found["deliveries"]) == 500
    rest = deliveries(client, destination="gone", state="dead", where='model == "o3"', limit=500, cursor=found["next_cursor"])
    assert len(rest["deliveries"]) == 50
    body = {"destination": "gone", "state": "pending"}
    assert client.post("/api/v1/deliveries/discard", json=body).json() == {"discarded": 550, "next_cursor": None}
    assert office.desk.store.discrepancies() == []


def test_a_change_that_takes_too_long_says_where_to_go_on(office, client):
    save(office, *(span(number) for number in range(700)), to="gone")
    office.app.state.destinations = replace(office.desk, patience=-1.0)
    body = {"destination": "gone", "state": "pending"}
    first = client.post("/api/v1/deliveries/discard", json=body).json()
    assert first["discarded"] == 500
    rest = client.post("/api/v1/deliveries/discard", json=body | {"cursor": first["next_cursor"]}).json()
    assert rest == {"discarded": 200, "next_cursor": None}

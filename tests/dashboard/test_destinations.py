"""`/api/v1/destinations` and `/api/v1/replays`: how destinations stand, tests of them, replays to them. With a real courier and a real receiver."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from dashboard.destination_desk import address_of
from destinations.webhook import WebhookConfig
from domain.deliveries import Owed
from recorder.courier import Courier, configured
from tests.dashboard.conftest import until
from tests.dashboard.spans import content, span
from tests.destinations.sink import Reply, Sink

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PASSWORD = "hunter2-" + "in-a-header"


def hook(sink, **more):
    given = {"url": f"{sink.url}/secret-path", "secret": SECRET, "allow_private": True, "headers": {"authorization": PASSWORD}}
    return WebhookConfig(**given | more)


@pytest.fixture
def sink():
    with Sink(Reply(204)) as sink:
        yield sink


@pytest.fixture
def configs(sink):
    return {"hook": hook(sink), "other": hook(sink, content="none", redact=())}


@pytest.fixture
def client(office):
    until(lambda: all(one.why != "It has not started yet." for one in office.desk.courier.status().values()))
    with office.client() as client:
        yield client


def problem(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["detail"]


def saved(office, count, *, owed=(), **changes):
    made = [span(number, **changes) for number in range(count)]
    deliveries = {one.id: [Owed(name) for name in owed] for one in made}
    office.spans.save([(one, content()) for one in made], deliveries=deliveries)
    return made


def test_destinations_are_listed_with_their_place_and_without_secrets(client, sink):
    answer = client.get("/api/v1/destinations")
    [one, other] = answer.json()["destinations"]
    assert (one["name"], one["type"], one["locked"], one["place"]) == ("hook", "webhook", True, "faregate.toml:12")
    assert one["address"] == sink.url.removeprefix("http://")
    assert one["counts"] == {"accepted": 0, "delivered": 0, "pending": 0, "dead": 0, "refused": 0, "dead_kept": 0}
    assert (one["content"], other["content"], other["redact"]) == ("full", "none", [])
    assert (one["limits"]["items"], one["limits"]["timeout_seconds"], one["limits"]["retry_for_seconds"]) == (1, 20.0, 604_800.0)
    assert (one["state"], one["last_ok_at"], one["last_error"], one["oldest_age_seconds"]) == ("idle", None, None, None)
    for secret in (SECRET, SECRET.removeprefix("whsec_"), PASSWORD, "secret-path"):
        assert secret not in answer.text
        assert secret not in client.get("/api/v1/destinations/hook").text


def test_counts_and_times_follow_what_is_delivered(office, client, sink):
    saved(office, 3, owed=["hook"])
    office.desk.courier.wake()
    until(lambda: client.get("/api/v1/destinations/hook").json()["counts"]["delivered"] == 3)
    one = client.get("/api/v1/destinations/hook").json()
    counts = one["counts"]
    assert counts["accepted"] == counts["delivered"] + counts["pending"] + counts["dead"] == 3
    until(lambda: client.get("/api/v1/destinations/hook").json()["last_ok_at"] is not None)
    assert len(sink.got) == 3


def test_a_test_is_a_real_span_through_the_real_queue(office, client, sink):
    result = client.post("/api/v1/destinations/hook/test").json()
    assert (result["ok"], result["status"], result["destination"]) == (True, 204, "hook")
    assert result["trace_id"] in result["look_at"]
    [got] = sink.got
    assert json.loads(got.body)["data"]["id"] == result["call_id"]
    [one] = client.get(f"/api/v1/calls/{result['call_id']}").json()["deliveries"]
    assert (one["destination"], one["state"]) == ("hook", "delivered")


def test_a_test_that_fails_says_why(client, sink):
    sink.script(Reply(401, b'{"error": "no"}'))
    result = client.post("/api/v1/destinations/hook/test").json()
    assert (result["ok"], result["status"]) == (False, 401)
    assert "401" in result["message"]
    one = client.get("/api/v1/destinations/hook").json()
    assert (one["state"], one["counts"]["pending"]) == ("misconfigured", 1)
    assert "401" in one["last_error"]
    client.post("/api/v1/destinations/hook/resume")
    until(lambda: client.get("/api/v1/destinations/hook").json()["counts"]["delivered"] == 1)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "hok"), ("POST", "hok/test"), ("POST", "hok/replay"), ("POST", "hok/resume")]
)
def test_an_unknown_name_gives_the_nearest(client, method, path):
    assert "did you mean `hook`?" in problem(client.request(method, f"/api/v1/destinations/{path}"), 404)


def test_one_that_the_settings_do_not_have_any_more_is_shown_while_something_waits(office, client):
    saved(office, 2, owed=["gone"])
    one = client.get("/api/v1/destinations/gone").json()
    assert (one["state"], one["type"], one["place"], one["counts"]["pending"]) == ("removed", None, None, 2)
    assert "there are hook, other" in problem(client.post("/api/v1/destinations/gone/test"), 404)


def test_a_replay_sends_what_is_missing_and_shows_how_far_it_is(office, client, sink):
    made = saved(office, 5)
    office.spans.save([(span(9), None)], deliveries={})
    begun = client.post("/api/v1/destinations/hook/replay", json={"rate": 1000, "to": "2026-01-01T00:00:05Z"})
    assert begun.status_code == 202
    assert (begun.json()["state"], begun.json()["rate"], begun.json()["only"]) == ("running", 1000.0, "missing")
    office.desk.replays.step()
    shown = client.get(f"/api/v1/replays/{begun.json()['id']}").json()
    assert (shown["state"], shown["owed"], shown["looked_at"]) == ("done", 5, 5)
    until(lambda: len(sink.got) == 5)
    assert {json.loads(got.body)["data"]["id"] for got in sink.got} == {one.id for one in made}
    assert client.get("/api/v1/replays").json()["replays"] == [shown]
    assert client.get("/api/v1/destinations/hook").json()["replays"] == [shown]
    assert client.get("/api/v1/destinations/other").json()["replays"] == []
    until(lambda: client.get("/api/v1/destinations/hook").json()["counts"]["delivered"] == 5)
    client.post("/api/v1/destinations/hook/replay", json={"rate": 1000, "to": "2026-01-01T00:00:05Z"})
    office.desk.replays.step()
    assert client.get("/api/v1/replays").json()["replays"][0]["owed"] == 0
    again = client.post("/api/v1/destinations/hook/replay", json={"rate": 1000, "to": "2026-01-01T00:00:05Z", "only": "all"})
    office.desk.replays.step()
    assert client.get(f"/api/v1/replays/{again.json()['id']}").json()["owed"] == 5
    until(lambda: len(sink.got) == 10)


def test_a_dry_run_only_counts(office, client, sink):
    saved(office, 5)
    saved(office, 2, model="o3")
    answer = client.post(
        "/api/v1/destinations/hook/replay", json={"dry_run": True, "where": 'model == "gpt-4o"', "rate": 10, "from": "2026-01-01"}
    )
    assert answer.status_code == 200
    found = answer.json()
    assert (found["calls"], found["looked_at"], found["bytes"], found["seconds"], found["whole"]) == (5, 7, 20, 0.5, True)
    assert client.get("/api/v1/replays").json()["replays"] == []
    assert sink.got == []


def test_a_replay_is_stopped(office, client):
    saved(office, 5)
    begun = client.post("/api/v1/destinations/hook/replay", json={"rate": 1}).json()
    office.desk.replays.step()
    stopped = client.delete(f"/api/v1/replays/{begun['id']}").json()
    assert (stopped["state"], stopped["owed"]) == ("stopped", 1)
    assert "only the last ones" in problem(client.delete("/api/v1/replays/abc"), 404)
    assert "only the last ones" in problem(client.get("/api/v1/replays/abc"), 404)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"rate": 0}, "`rate` is a number"),
        ({"rate": True}, "`rate` is a number"),
        ({"rate": 1e9}, "`rate` is a number"),
        ({"rate": "5"}, "`rate` is a number"),
        ({"where": "modle == 1"}, "did you mean"),
        ({"where": 7}, "`where` is a condition"),
        ({"from": "yesterday"}, "not a time"),
        ({"from": 5}, "not a time"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "The period is empty"),
        ({"only": "some"}, "`only` is one of missing, all"),
        ({"dry_run": "yes"}, "`dry_run` is true or false"),
        ({"wehre": "x"}, "did you mean `where`?"),
    ],
)
def test_what_is_wrong_with_a_replay_is_said(client, body, said):
    assert said in problem(client.post("/api/v1/destinations/hook/replay", json=body), 400)


def test_more_replays_than_may_run_are_refused(client):
    answers = [client.post("/api/v1/destinations/hook/replay", json={}).status_code for _ in range(21)]
    assert answers == [202] * 20 + [409]


def test_while_the_store_is_away_that_is_said(office, client, database):
    database.close()
    path = office.keys_file.parent / "calls.db"
    path.unlink()
    path.mkdir()
    assert "The store is away" in problem(client.get("/api/v1/destinations"), 503)
    assert "The store is away" in problem(client.post("/api/v1/destinations/hook/test"), 503)


def test_a_courier_that_has_not_started_says_so(office, client, configs):
    courier = Courier(office.desk.store, {"hook": configured("hook", configs["hook"])})
    office.app.state.destinations = replace(office.desk, courier=courier)
    answer = client.post("/api/v1/destinations/hook/test")
    assert "not at work for `hook` yet" in problem(answer, 503)
    assert answer.headers["retry-after"] == "2"


class Bell(WebhookConfig):
    """A place that hears of events only."""

    TAKES = "events"


class TestEventsOnly:
    """A destination that takes events and no calls."""

    @pytest.fixture
    def configs(self, sink):
        return {"bell": Bell(url=sink.url, secret=SECRET, allow_private=True)}

    def test_no_call_is_sent_there(self, office, client):
        [one] = saved(office, 1)
        assert "takes events only" in problem(client.post("/api/v1/destinations/bell/replay", json={}), 409)
        assert "takes events only" in problem(client.post(f"/api/v1/calls/{one.id}/deliveries/bell/send"), 409)
        assert client.get("/api/v1/destinations/bell").json()["takes"] == "events"

    def test_a_test_of_it_is_an_event(self, client, sink):
        assert client.post("/api/v1/destinations/bell/test").json()["ok"]
        assert b"destination.test" in sink.last.body


def test_an_office_without_a_courier_says_so(office, client):
    office.app.state.destinations = None
    assert "without a courier" in problem(client.get("/api/v1/destinations"), 503)
    [one] = saved(office, 1)
    assert client.get(f"/api/v1/calls/{one.id}").json()["deliveries"] == []
    assert client.get(f"/api/v1/calls/{one.id}/deliveries").json()["deliveries"] == []


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://user:pass@hooks.example.com/x", "hooks.example.com"),
        ("https://[::1]:8443/x", "[::1]:8443"),
        ("https://hooks.example.com:99999/x", None),
        (None, None),
        (SecretStr("https://hooks.example.com/secret"), None),
    ],
)
def test_of_an_address_only_host_and_port_are_shown(url, address):
    assert address_of(SimpleNamespace(url=url)) == address

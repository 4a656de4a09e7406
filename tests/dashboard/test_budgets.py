"""`/api/v1/budgets`: what is set, spent, held and left; raises; warnings; and the file that the gate reads."""

import asyncio
import json

import pytest

from domain.budgets import LimitRaise
from domain.exchange import Labels
from domain.ledger import Claim
from domain.spans import rfc3339
from domain.windows import claim_on, window_of
from storage.budget_file import load_budgets
from storage.budgets import BudgetWarning
from tests.dashboard.conftest import OWN_BUDGET
from tests.dashboard.spans import span

NANO = 10**9
SECOND = 10**9


@pytest.fixture
def client(office):
    with office.client() as client:
        yield client


def put(client, **body):
    answer = client.post("/api/v1/budgets", json={"scope": "key:ci", "limit_usd": "20.00", "window": "month"} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer, status=400):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["detail"]


def stored(office, id_):
    return next(budget for budget in office.budgets.book.all() if budget.id == id_)


def spend(office, budget, settled, held, member=None):
    """Let a member have spent and hold something, in the window that it is now."""
    now = office.clock[0]
    window = window_of(budget.window, now)
    claims: list[Claim] = [claim_on(budget, member, window, settled, limit=None)]
    office.ledger.charge(f"e-{member}-{settled}", claims, now=now)
    asyncio.run(office.ledger.hold(f"h-{member}", [claim_on(budget, member, window, held, limit=None)], now=now, lease=1000))


def test_a_budget_is_set_and_shown_with_what_is_spent_held_and_left(office, client):
    made = put(client, mode="strict", timezone="Europe/Paris", anchor=31, warn_at=[0.8, 0.5], per_call_usd="0.25", status=402)
    spend(office, stored(office, made["id"]), 9_980_000_001, 10_000_000)
    shown = client.get(f"/api/v1/budgets/{made['id']}").json()
    assert shown == made | {"spent": "9.980000001", "held": "0.01", "remaining": "10.009999999"}
    window = window_of(stored(office, made["id"]).window, office.clock[0])
    assert (shown["window_start"], shown["window_end"]) == tuple(rfc3339(at * SECOND) for at in (window.start, window.end))
    assert (shown["scope"], shown["limit"], shown["effective_limit"], shown["window"]) == ("key:ci", "20.00", "20.00", "month")
    assert (shown["mode"], shown["warn_at"], shown["per_call_usd"], shown["status"]) == ("strict", [0.5, 0.8], "0.25", 402)
    assert (shown["locked"], shown["origin"], shown["members"], shown["ledger"]) == (False, "database", None, "ok")


def test_setting_it_again_changes_the_limit_and_keeps_what_is_spent(office, client):
    made = put(client)
    spend(office, stored(office, made["id"]), 5 * NANO, 0)
    again = put(client, limit_usd="3")
    assert (again["id"], again["limit"], again["spent"], again["remaining"]) == (made["id"], "3.00", "5.00", "0.00")


def test_tokens_and_requests_are_whole_numbers(client):
    made = client.post("/api/v1/budgets", json={"scope": "all", "limit_tokens": 500_000, "window": "rolling:24h"}).json()
    assert (made["unit"], made["limit"], made["spent"], made["remaining"]) == ("tokens", 500_000, 0, 500_000)
    assert made["window"] == "rolling:1d"
    assert made["window_end"] is None


def test_each_customer_that_spends_is_shown(office, client):
    made = put(client, scope="each customer", limit_usd="1")
    now = int(office.clock[0] * SECOND)
    office.spans.save([(span(started_at=now, labels=Labels(customer=name)), None) for name in ("acme", "b|b@c", "idle")])
    budget = stored(office, made["id"])
    spend(office, budget, NANO // 2, NANO // 4, "acme")
    spend(office, budget, 2 * NANO, 0, "b|b@c")
    shown = client.get(f"/api/v1/budgets/{made['id']}").json()
    assert sorted(shown["members"], key=lambda one: one["member"]) == [
        {"member": "acme", "spent": "0.50", "held": "0.25", "remaining": "0.25"},
        {"member": "b|b@c", "spent": "2.00", "held": "0.00", "remaining": "0.00"},
    ]
    assert (shown["spent"], shown["share"]) == (None, "each")


@pytest.mark.parametrize(
    ("scope", "member"), [("each key", "web"), ("each tag:team", "search"), ("each project", "default"), ("each model", "gpt-4o")]
)
def test_members_of_every_kind_are_found(office, client, scope, member):
    made = put(client, scope=scope)
    office.spans.save([(span(started_at=int(office.clock[0] * SECOND), labels=Labels(tags={"team": "search"})), None)])
    spend(office, stored(office, made["id"]), NANO, 0, member)
    assert [one["member"] for one in client.get(f"/api/v1/budgets/{made['id']}").json()["members"]] == [member]


def test_a_budget_of_the_file_is_shown_locked_with_its_line(office, client):
    [own] = [one for one in client.get("/api/v1/budgets").json()["budgets"] if one["id"] == "own"]
    assert (own["locked"], own["origin"], own["place"], own["limit"]) == (True, "file", "faregate.toml:7", "10.00")
    assert "faregate.toml:7" in refused(client.delete("/api/v1/budgets/own"), 409)
    body = {"scope": "project:default", "limit_usd": 1, "window": "month", "timezone": "Europe/Paris"}
    assert "faregate.toml:7" in refused(client.post("/api/v1/budgets", json=body), 409)


def test_a_limit_is_raised_for_some_windows_and_never_changed(office, client):
    raised = client.post("/api/v1/budgets/own/raises", json={"amount_usd": "5", "windows": 2, "reason": "launch"}).json()
    window = window_of(OWN_BUDGET.window, office.clock[0])
    after = window_of(OWN_BUDGET.window, window.end)
    assert (raised["limit"], raised["effective_limit"], raised["remaining"]) == ("10.00", "15.00", "15.00")
    [one] = raised["raises"]
    assert (one["amount"], one["reason"], one["until"]) == ("5.00", "launch", rfc3339(after.end * SECOND))
    [published] = load_budgets(office.keys_file.parent / "budgets.json")
    assert published.raises == (LimitRaise(5 * NANO, window.start, after.end),)
    assert [published.limit_at(start) for start in (window.start, after.start, after.end)] == [15 * NANO, 15 * NANO, 10 * NANO]
    office.clock[0] = after.end + 1.0
    assert client.get("/api/v1/budgets/own").json()["effective_limit"] == "10.00"
    office.clock[0] = float(window.start)
    taken = client.delete("/api/v1/budgets/own/raises").json()
    assert (taken["effective_limit"], taken["raises"]) == ("10.00", [])


def test_removing_takes_it_from_the_gate(office, client):
    made = put(client)
    path = office.keys_file.parent / "budgets.json"
    assert [one.id for one in load_budgets(path)] == ["own", made["id"]]
    assert client.delete(f"/api/v1/budgets/{made['id']}").json()["id"] == made["id"]
    assert [one.id for one in load_budgets(path)] == ["own"]
    assert client.get(f"/api/v1/budgets/{made['id']}").status_code == 404
    assert client.delete(f"/api/v1/budgets/{made['id']}").status_code == 404


def test_while_the_store_is_away_the_gate_keeps_what_it_had(office, client):
    made = put(client)
    book = office.budgets.book
    book.publish_without_store()
    assert [one.id for one in load_budgets(office.keys_file.parent / "budgets.json")] == ["own", made["id"]]
    assert set(book.by_id()) == {"own", made["id"]}


def test_a_ledger_that_is_away_is_said_and_not_shown_as_nothing_spent(office, client):
    made = put(client)
    office.ledger.lose()
    shown = client.get(f"/api/v1/budgets/{made['id']}").json()
    assert (shown["ledger"], shown["spent"], shown["remaining"]) == ("away", None, None)


def a_warning(threshold=800_000):
    return BudgetWarning("own", "project:default", None, "own@usd:0+1", 0, threshold, 8 * NANO, 10 * NANO, "usd", 1_767_225_600.0)


def test_warnings_are_listed_with_their_budget(office, client):
    office.budgets.book.store.warn([a_warning(500_000), a_warning()])
    listed = client.get("/api/v1/budgets/own/warnings").json()["warnings"]
    assert [one["threshold"] for one in listed] == [0.8, 0.5]
    assert (
        listed[0] | {"spent": "8.00", "limit": "10.00", "name": "project:default", "at": "2026-01-01T00:00:00.000000Z"}
        == listed[0]
    )
    assert client.get("/api/v1/budgets/own").json()["warnings"] == listed


def test_a_warning_is_an_event_of_the_stream_once(office, client):
    with client.stream("GET", "/api/v1/stream", timeout=20) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": hello"
        # What was there before somebody listened is not told, so warn until it is heard.
        for number in range(1, 2000):
            office.budgets.book.store.warn([a_warning(number)])
            office.on_loop(office.live._wake.set)
            seen = office.live._warned
            if seen:
                break
        office.budgets.book.store.warn([a_warning(900_000)])
        events = []
        while not events or events[-1]["threshold"] != 0.9:
            line = next(lines)
            if line == "event: budget":
                events.append(json.loads(next(lines).removeprefix("data: ")))
    assert events[-1]["budget"] == "own"
    thresholds = [one["threshold"] for one in events]
    assert thresholds == sorted(set(thresholds))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"scope": "kye:ci"}, "did you mean 'key'"),
        ({"scope": 5}, "`scope` is needed"),
        ({"window": "moth"}, "did you mean 'month'"),
        ({"timezone": "Paris"}, "no time zone 'Paris'"),
        ({"limit_usd": "20.0000000001"}, "at most nine digits"),
        ({"limit_usd": True}, "US dollars"),
        ({"limit_usd": -1}, "0 to 9,000,000"),
        ({"limit_usd": [1]}, "US dollars"),
        ({"limit_tokens": 5}, "One of limit_usd, limit_tokens, limit_requests"),
        ({"mode": "hard"}, "`mode` is one of strict, balanced, soft"),
        ({"warn_at": [2]}, "shares of the limit"),
        ({"warn_at": "0.5"}, "shares of the limit"),
        ({"anchor": 32}, "`anchor`"),
        ({"window": "week", "anchor": 8}, "1 to 7"),
        ({"window": "day", "anchor": 2}, "other windows have none"),
        ({"unpriced": "perhaps"}, "US dollars"),
        ({"clamp": 1}, "true or false"),
        ({"status": 500}, "429, 402"),
        ({"limt": 1}, "no field `limt`"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_and_nothing_is_set(office, client, body, said):
    assert said in refused(client.post("/api/v1/budgets", json={"scope": "key:ci", "limit_usd": "20"} | body))
    assert [one["id"] for one in client.get("/api/v1/budgets").json()["budgets"]] == ["own"]


@pytest.mark.parametrize(
    "body", [{}, {"amount_usd": "x"}, {"amount_usd": 1, "windows": 0}, {"amount_usd": 1, "reason": 5}, {"amount_usd": "8999995"}]
)
def test_a_raise_that_cannot_be_is_refused(client, body):
    refused(client.post("/api/v1/budgets/own/raises", json=body))
    refused(client.post("/api/v1/budgets/nope/raises", json={"amount_usd": 1}), 404)


def test_a_budget_without_a_limit_is_refused(client):
    assert "One of limit_usd" in refused(client.post("/api/v1/budgets", json={"scope": "all"}))

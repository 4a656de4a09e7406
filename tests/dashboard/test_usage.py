"""`/api/v1/usage` and `/api/v1/projects`: sums in any zone, equal to the sum of the calls."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from dashboard.problems import Problem
from dashboard.usage import asked_of
from domain.calls import Usage
from domain.exchange import Labels
from domain.keys import ApiKey
from domain.spans import usd
from storage.rollups import SLOT
from tests.dashboard.spans import AT, span

SECOND = 10**9
START = AT // SECOND


def at(hours, **values):
    """Return a call that began so many hours after the first of January 2026, in UTC."""
    return span(started_at=AT + int(hours * 3600 * SECOND), **values)


def ask(office, **params):
    params = {name.rstrip("_"): value for name, value in params.items()}
    with office.client() as client:
        params = {"from": "2026-01-01", "to": "2026-01-04"} | params
        answer = client.get("/api/v1/usage", params={name: value for name, value in params.items() if value is not None})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(office, **params):
    with office.client() as client:
        answer = client.get("/api/v1/usage", params={name.rstrip("_"): value for name, value in params.items()})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["detail"]


def save(office, *spans):
    office.spans.save([(one, None) for one in spans])


def test_sums_by_several_things_with_totals(office):
    used = Usage(input_tokens=100, cache_read_tokens=60, output_tokens=7, reasoning_tokens=3, output_audio_tokens=1)
    save(
        office,
        at(1, cost=333_000_001, cost_status="exact", usage=used, latency_ms=100.0),
        at(2, cost=1, cost_status="reported", usage=used, latency_ms=200.5),
        at(3, cost=10**12, cost_status="exact", key_name="web", model="o3"),
    )
    found = ask(office, by="key,model")
    assert found["from"] == "2026-01-01T00:00:00.000000Z"
    assert found["by"] == ["key", "model"]
    dear, cheap = found["rows"]
    assert (dear["key"], dear["model"], dear["calls"], dear["cost_usd"]) == ("web", "o3", 1, "1")
    assert (cheap["key"], cheap["model"], cheap["calls"], cheap["cost_usd"]) == ("ci", "gpt-4o", 2, "0.000333000002")
    assert cheap["usage"] | {"input_tokens": 200, "output_audio_tokens": 2} == cheap["usage"]
    assert cheap["usage"]["cache_write_12h_tokens"] == 0
    assert cheap["latency_ms_mean"] == 150.25
    assert found["totals"]["cost_usd"] == "1.000333000002"
    assert found["totals"]["calls"] == 3
    assert found["periods"] is None


def test_what_is_unknown_is_unknown_and_counted_beside_the_sum(office):
    save(office, at(1, model="new"), at(1, model="known", cost=5, cost_status="exact"), at(2, model="known"))
    rows = {row["model"]: row for row in ask(office, by="model")["rows"]}
    assert (rows["new"]["cost_usd"], rows["new"]["unknown_cost_calls"]) == (None, 1)
    assert (rows["known"]["cost_usd"], rows["known"]["unknown_cost_calls"]) == ("0.000000000005", 1)
    assert ask(office, model="new")["totals"]["cost_usd"] is None


def test_what_costs_nothing_is_not_unknown(office):
    save(office, at(1, outcome="denied", cost_status="none"), at(1, cost=0, cost_status="free"))
    totals = ask(office)["totals"]
    assert (totals["cost_usd"], totals["unknown_cost_calls"]) == ("0", 0)


def test_estimates_are_told_apart_and_can_be_left_out(office):
    save(office, at(1, cost=100, cost_status="estimated"), at(1, cost=11, cost_status="exact"))
    totals = ask(office)["totals"]
    assert (totals["cost_usd"], totals["estimated_cost_usd"], totals["estimated_calls"]) == (usd(111), usd(100), 1)
    without = ask(office, estimated="exclude")["totals"]
    assert (without["cost_usd"], without["calls"]) == (usd(11), 1)


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("UTC", ["2026-01-01T00:00", "2026-01-02T00:00", "2026-01-03T00:00"]),
        ("Asia/Kolkata", ["2026-01-01T00:00", "2026-01-02T00:00", "2026-01-03T00:00"]),
        ("Asia/Kathmandu", ["2026-01-01T00:00", "2026-01-02T00:00", "2026-01-03T00:00"]),
        ("America/Los_Angeles", ["2026-01-01T00:00", "2026-01-02T00:00", "2026-01-03T00:00"]),
    ],
)
def test_days_are_those_of_the_zone_even_where_they_begin_at_a_quarter_past(office, zone, days):
    calls = [at(hours / 4 + 0.1, cost=hours + 1, cost_status="exact") for hours in range(-60, 320, 3)]
    save(office, *calls)
    found = ask(office, tz=zone, step="day")
    local = [datetime.fromisoformat(one["start"]).astimezone(ZoneInfo(zone)).isoformat()[:16] for one in found["periods"]]
    assert local == days
    expected = Counter()
    for call in calls:
        expected[datetime.fromtimestamp(call.started_at / SECOND, ZoneInfo(zone)).date().isoformat()] += call.cost
    sums = {day[:10]: one["cost_usd"] for day, one in zip(local, found["periods"], strict=True)}
    assert sums == {day[:10]: usd(expected[day[:10]]) for day in days}


def test_a_day_of_23_hours_is_one_day(office):
    found = ask(office, from_="2026-03-28", to="2026-03-31", tz="Europe/Paris", step="day")
    starts = [datetime.fromisoformat(one["start"]) for one in found["periods"]]
    assert [later - earlier for earlier, later in pairwise(starts)] == [
        timedelta(days=1),
        timedelta(hours=23),
    ]


def test_a_period_is_widened_to_whole_quarters_and_says_so(office):
    save(office, at(1.01, cost=1, cost_status="exact"), at(1.3, cost=10, cost_status="exact"))
    found = ask(office, from_="2026-01-01T01:07:00Z", to="2026-01-01T01:08:00Z")
    assert (found["from"], found["to"]) == ("2026-01-01T01:00:00.000000Z", "2026-01-01T01:15:00.000000Z")
    assert found["totals"]["calls"] == 1


def test_the_last_hours_reach_until_now(office):
    now = time.time_ns()
    save(office, span(started_at=now), span(started_at=now - 3 * 3600 * SECOND), span(started_at=now - 9 * 3600 * SECOND))
    assert ask(office, from_=None, to=None, last="4h")["totals"]["calls"] == 2


def test_sections_are_paths(office):
    for path in ("agent:a", "agent:a/tool:x", "agent:a/tool:x/step:1", "agent:ab", None):
        save(office, at(1, cost=1, cost_status="exact", labels=Labels(section=path)))
    assert ask(office, section="agent:a")["totals"]["calls"] == 3
    found = ask(office, by="section", section_depth="2")
    assert {row["section"]: row["calls"] for row in found["rows"]} == {"agent:a": 1, "agent:a/tool:x": 2, "agent:ab": 1, None: 1}


def test_beyond_the_limit_the_others_are_one_sum(office):
    save(office, *(at(1, model=f"m{number}", cost=number * 10**12, cost_status="exact") for number in range(5)))
    found = ask(office, by="model", limit="2")
    assert [row["model"] for row in found["rows"]] == ["m4", "m3"]
    assert [(one["calls"], one["cost_usd"]) for one in found["rest"]] == [(3, "3")]
    assert found["totals"]["calls"] == 5


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"by": "modle"}, "did you mean `model`"),
        ({"tz": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"tz": "../../etc/passwd"}, "no time zone"),
        ({"step": "minute"}, "`step` is one of"),
        ({"last": "7d", "from_": "2026-01-01"}, "either `last`"),
        ({"from_": "2026-01-02", "to": "2026-01-01"}, "empty"),
        ({"from_": "yesterday"}, "not a time"),
        ({"from_": "1970-01-01", "step": "hour"}, "longer `step`"),
        ({"limit": "0"}, "`limit`"),
        ({"section_depth": "x"}, "`section_depth`"),
        ({"estimated": "maybe"}, "`estimated`"),
        ({"grop": "x"}, "no parameter `grop`"),
    ],
)
def test_what_is_asked_wrong_is_answered_with_what_would_be_right(office, params, said):
    assert said in refused(office, **params)


def test_a_parameter_that_is_there_twice_is_refused(office):
    with office.client() as client:
        assert client.get("/api/v1/usage?by=model&by=key").status_code == 400


def test_usage_is_for_those_who_are_signed_in(office):
    with office.client(token=None) as client:
        assert client.get("/api/v1/usage").status_code == 401
        assert client.get("/api/v1/projects").status_code == 401


@settings(max_examples=60, deadline=None)
@given(
    begin=st.integers(0, 4 * 10**9),
    length=st.integers(1, 40 * 86_400),
    zone=st.sampled_from(["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "Africa/Cairo"]),
    step=st.sampled_from(["hour", "day", "week", "month", "quarter"]),
)
def test_periods_tile_what_was_asked_for_in_whole_slots(begin, length, zone, step):
    begin = min(begin, START)
    times = {name: datetime.fromtimestamp(value, UTC).isoformat() for name, value in (("from", begin), ("to", begin + length))}
    asked = asked_of(QueryParams(times | {"tz": zone, "step": step}), START)
    assert asked.borders[0] <= begin
    assert asked.borders[-1] >= begin + length
    assert list(asked.borders) == sorted(set(asked.borders))
    assert all(border % SLOT == 0 for border in asked.borders)


def test_too_many_periods_are_refused_before_they_are_made():
    with pytest.raises(Problem, match="3000 periods"):
        asked_of(QueryParams({"from": "1980-01-01", "to": "2026-01-01", "step": "hour"}), START)


def test_projects_are_those_of_the_settings_the_keys_and_the_calls(office):
    office.ring.store.create(ApiKey("k7", "k7", "7" * 64, project="keyed"))
    save(office, at(1, project="called", cost=5, cost_status="exact"), at(2, project="called"))
    with office.client() as client:
        found = client.get("/api/v1/projects", params={"from": "2026-01-01", "to": "2026-01-02"}).json()["projects"]
    assert [(one["name"], one["origin"], one["keys"], one["calls"]) for one in found] == [
        ("called", "seen", 0, 2),
        ("default", "file", 1, 0),
        ("keyed", "seen", 1, 0),
    ]
    assert (found[0]["cost_usd"], found[0]["unknown_cost_calls"]) == ("0.000000000005", 1)

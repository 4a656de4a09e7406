"""Windows tile time: in any zone, whatever is done to its clocks, each moment is in one window and where that ends the next begins."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.budgets import Budget, Scope, Window, WindowRule
from domain.ledger import Claim
from domain.windows import claim_on, counter_name, part_of, part_seconds, window_of, zone_of

DAY, HOUR = 86_400, 3_600
BEGIN = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
YEARS = 3 * 366 * DAY
# Zones where clocks do what one would not expect, and every sixth of the others: a hundred and more.
ODD = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Asuncion",
    "America/Havana",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Europe/Paris",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "UTC",
)
ZONES = sorted({*ODD, *sorted(available_timezones() - {"localtime", "Factory"})[::6]})
RULES = [
    ("hour", 1),
    ("day", 1),
    ("week", 1),
    ("week", 4),
    ("month", 1),
    ("month", 15),
    ("month", 31),
    ("quarter", 1),
    ("quarter", 31),
]


def at(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def test_there_are_a_hundred_zones() -> None:
    assert len(ZONES) >= 100


@pytest.mark.parametrize("zone", ZONES)
def test_windows_tile_three_years(zone: str) -> None:
    for kind, anchor in RULES:
        rule = WindowRule(kind, zone, anchor)
        # All hours of three years are many: one now and then, with the ends of its neighbours.
        step = DAY * 9 if kind == "hour" else 0
        windows = list(row_of(rule, step))
        for one, following in pairwise(windows):
            assert one.end is not None
            assert one.start < one.end
            assert step or one.end == following.start
            for moment in (one.start, one.start + 0.5, one.end - 1, one.end - 0.001):
                assert window_of(rule, moment) == one
            assert window_of(rule, one.end).start == one.end
            assert window_of(rule, one.start - 0.001).end == one.start


def row_of(rule: WindowRule, step: int):
    moment = BEGIN
    while moment < BEGIN + YEARS:
        window = window_of(rule, moment)
        yield window
        assert window.end is not None
        moment = max(window.end, moment + step)


@settings(max_examples=300, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    rule=st.sampled_from(RULES),
    moment=st.floats(0, 4_102_444_800, allow_nan=False),
    further=st.floats(0, 400 * DAY),
)
def test_any_two_moments_are_in_one_window_or_in_two_that_do_not_overlap(zone, rule, moment, further) -> None:
    of = WindowRule(rule[0], zone, rule[1])
    one, other = window_of(of, moment), window_of(of, moment + further)
    assert one.start <= moment < one.end
    assert one == other or one.end <= other.start


@pytest.mark.parametrize(
    ("rule", "moment", "start", "end"),
    [
        (WindowRule("hour", "Asia/Kolkata"), "2026-05-05T10:45", "2026-05-05T10:00", "2026-05-05T11:00"),
        (WindowRule("day", "Europe/Paris"), "2026-05-05T10:45", "2026-05-05T00:00", "2026-05-06T00:00"),
        (WindowRule("week", "Europe/Paris"), "2026-05-05T10:45", "2026-05-04T00:00", "2026-05-11T00:00"),
        (WindowRule("week", "Europe/Paris", 7), "2026-05-05T10:45", "2026-05-03T00:00", "2026-05-10T00:00"),
        (WindowRule("month", "America/New_York"), "2026-05-31T23:59", "2026-05-01T00:00", "2026-06-01T00:00"),
        (WindowRule("month", "America/New_York", 31), "2026-02-28T00:00", "2026-02-28T00:00", "2026-03-31T00:00"),
        (WindowRule("month", "America/New_York", 31), "2024-02-28T23:59", "2024-01-31T00:00", "2024-02-29T00:00"),
        (WindowRule("month", "America/New_York", 15), "2026-01-03T00:00", "2025-12-15T00:00", "2026-01-15T00:00"),
        (WindowRule("quarter", "Asia/Tokyo"), "2026-06-30T23:59", "2026-04-01T00:00", "2026-07-01T00:00"),
        (WindowRule("quarter", "Asia/Tokyo", 31), "2026-01-30T00:00", "2025-10-31T00:00", "2026-01-31T00:00"),
        (WindowRule("quarter", "Asia/Tokyo", 31), "2026-04-30T00:00", "2026-04-30T00:00", "2026-07-31T00:00"),
    ],
)
def test_windows_begin_and_end_at_local_midnights(rule: WindowRule, moment: str, start: str, end: str) -> None:
    zone = rule.timezone
    assert window_of(rule, at(moment, zone)) == Window(at(start, zone), at(end, zone))


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("Europe/Paris", "2026-03-29T12:00", 23),
        ("Europe/Paris", "2026-10-25T12:00", 25),
        ("Australia/Lord_Howe", "2026-04-05T12:00", 24.5),
        ("Asia/Beirut", "2026-03-29T12:00", 23),  # its midnight does not exist
        ("America/Havana", "2025-11-02T12:00", 25),  # its midnight comes twice
        ("Pacific/Apia", "2011-12-31T12:00", 24),  # the day before was skipped
    ],
)
def test_days_are_as_long_as_they_are(zone: str, moment: str, hours: float) -> None:
    window = window_of(WindowRule("day", zone), at(moment, zone))
    assert window.end is not None
    assert window.end - window.start == hours * HOUR


def test_a_rolling_window_has_sixty_parts_and_total_has_no_end() -> None:
    rolling = WindowRule("rolling", seconds=DAY)
    assert part_seconds(DAY) == 1440
    assert part_seconds(30) == 1
    assert window_of(rolling, 1440 * 7 + 3.5) == Window(1440 * 7, 1440 * 8)
    assert (part_of(rolling, 1440 * 7 + 3.5), part_of(WindowRule("day"), 99.0)) == (7, 0)
    assert window_of(WindowRule("total"), 99.0) == Window(0, None)


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd", "/etc/passwd", "Europe", "a\0b", "x" * 300])
def test_a_zone_that_does_not_exist_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        zone_of(name)


def a_budget(rule: WindowRule, **values) -> Budget:
    return Budget("b-1", Scope("all"), 100, rule, **values)


def test_counters_are_named_by_budget_member_unit_and_window() -> None:
    day = a_budget(WindowRule("day"))
    window = Window(5 * DAY, 6 * DAY)
    assert counter_name(day, None, window) == "b-1@usd:432000+86400"
    assert counter_name(day, "alice", window) == "b-1|alice@usd:432000+86400"
    assert counter_name(a_budget(WindowRule("total"), unit="tokens"), None, Window(0, None)) == "b-1@tokens:total"
    assert counter_name(a_budget(WindowRule("rolling", seconds=60)), None, Window(1, 2)) == "b-1@usd:rolling+60"


def test_members_that_are_long_or_not_plain_text_have_counters_of_their_own() -> None:
    budget, window = a_budget(WindowRule("day")), Window(0, DAY)
    members = ["x" * 121, "x" * 122, "a\0b", "a\nb", "\ud800", "\udfff", "naïve", "a|b@usd:1+2"]
    names = [counter_name(budget, member, window) for member in members]
    assert len(set(names)) == len(members)
    for name in names:
        assert len(name) < 250
        assert name.isprintable()
        name.encode()


def test_claims_say_when_their_counter_may_be_forgotten() -> None:
    day, rolling, total = (a_budget(WindowRule(kind, seconds=DAY)) for kind in ("day", "rolling", "total"))
    claims = [claim_on(one, None, window_of(one.window, 10 * DAY), 7, limit=100) for one in (day, rolling, total)]
    assert claims == [
        Claim("b-1@usd:864000+86400", 7, 100, 12 * DAY),
        Claim("b-1@usd:rolling+86400", 7, 100, 10 * DAY + 1440 + 2 * DAY, DAY, 600),
        Claim("b-1@usd:total", 7, 100),
    ]

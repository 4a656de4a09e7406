"""The page, its policy, and times as people write them."""

import re
from pathlib import Path

import pytest

import dashboard
from dashboard.times import instant_of, seconds_of
from tests.dashboard.test_sign_in import signed_in

STATIC = Path(dashboard.__file__).parent / "static"


def test_who_is_not_signed_in_sees_how_to_and_no_data(office):
    with office.client(token=None) as client:
        answer = client.get("/")
    assert answer.status_code == 401
    assert "faregate up" in answer.text
    assert "page.js" not in answer.text


def test_who_is_signed_in_sees_the_page(office):
    with signed_in(office) as browser:
        answer = browser.get("/")
    assert answer.status_code == 200
    assert "Point your app here" in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css", "/icon.svg", "/?signin=wrong"])
def test_nothing_but_our_own_can_run_and_nobody_can_frame_it(office, path):
    with office.client(token=None) as client:
        answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    for part in ("frame-ancestors 'none'", "require-trusted-types-for 'script'", "base-uri 'none'", "connect-src 'self'"):
        assert part in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_pages_use_nothing_that_the_policy_forbids_and_nothing_from_elsewhere():
    for file in STATIC.iterdir():
        text = file.read_text()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\bon[a-z]+=|style=\"|javascript:", text
        ), file
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//|@import|url\(http", text), file


def test_the_process_says_that_it_lives(office):
    with office.client(token=None) as client:
        assert client.get("/healthz").text == "ok\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", 1_000_000 - 86_400),
        ("90s", 1_000_000 - 90),
        ("now", 1_000_000),
        ("1970-01-02", 86_400),
        ("1970-01-02T00:00:00Z", 86_400),
        ("1970-01-02T01:00:00+01:00", 86_400),
        ("1970-01-02T01:00:00 01:00", 86_400),
        ("1970-01-02T00:00:00.5Z", 86_400.5),
        ("0001-01-01", 0),
    ],
)
def test_times_as_people_write_them(text, expected):
    assert instant_of(text, 1_000_000.0) == int(expected * 10**9)


@pytest.mark.parametrize("text", ["", "yesterday", "24", "h", "-1h", "24 h", "99999999d", "999999w", "2026-13-01"])
def test_what_is_no_time_is_said(text):
    with pytest.raises(ValueError, match=r"is not a (time|duration)"):
        instant_of(text, 1_000_000.0)


def test_durations():
    assert [seconds_of(text) for text in ("90s", "5m", "2h", "30d", "1w")] == [90, 300, 7200, 2_592_000, 604_800]

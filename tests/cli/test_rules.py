"""`faregate rules`, on a running gateway: a call is decided on, its decisions are kept, and other rules are tried on it."""

import json

import pytest

from tests.cli.installation import faregate, until
from tests.cli.test_asking import app, calls_where

SETTINGS = """
[destinations.archive]
type = "folder"
path = "./archive"

[[rules]]
name = "sessions of ours"
when = 'session == "ruled"'
send_to = ["archive"]
set = { "team.name" = 'tags.team' }

[[rules]]
name = "dear"
when = 'cost_usd > 5.0'
send_to = ["archive"]
"""
OTHERS = """
[[rules]]
name = "nothing of sim"
when = 'upstream == "sim"'
drop = true

[[rules]]
name = "everything"
send_to = ["archive"]
"""
ROUTES = """
[[routes]]
name = "away"
when = 'tags.team == "search"'
try = ["openai"]
"""


@pytest.fixture
def ruled(begin, tmp_path):
    (tmp_path / "faregate.toml").write_text(SETTINGS)
    (tmp_path / "others.toml").write_text(OTHERS)
    (tmp_path / "routes.toml").write_text(ROUTES)
    (tmp_path / "none.toml").write_text("rules = []\nroutes = []\n")
    up = begin("--config", str(tmp_path / "faregate.toml"))
    up.event("ready")
    up.event("dashboard")
    run = up.run("run", "--session", "ruled", "--tag", "team=search", "--", *app(2))
    assert run.returncode == 0, run.stderr
    until(lambda: len(calls_where(up, 'session == "ruled"')) == 2, "they are not recorded")
    return up


def test_rules_decide_about_recorded_calls_and_others_can_be_tried_on_them(ruled):
    calls = calls_where(ruled, 'session == "ruled"')
    for call in calls:
        assert [(one["rule"], one["matched"]) for one in call["rules"] if one["kind"] == "rule"] == [
            ("sessions of ours", True),
            ("dear", False),
        ]
    listed = json.loads(ruled.run("rules", "list", "--json").stdout)
    assert [(rule["name"], rule["place"]) for rule in listed["rules"]] == [
        ("sessions of ours", "faregate.toml:6"),
        ("dear", "faregate.toml:12"),
    ]
    tried = ruled.run("rules", "test", str(ruled.folder / "others.toml"), "--where", 'session == "ruled"', "--json")
    assert tried.returncode == 0, tried.stderr
    found = json.loads(tried.stdout)
    assert (found["calls"], [one["matched"] for one in found["rules"]]) == (2, [2, 2])
    [archive] = found["destinations"]
    assert (archive["calls_before"], archive["calls_after"], archive["lost"]) == (2, 0, 2)
    assert "others.toml has no [[routes]]: those in force stay" in tried.stderr
    alone = ruled.run("rules", "test", str(ruled.folder / "routes.toml"), "--where", 'session == "ruled"', "--json")
    assert "routes.toml has no [[rules]]: those in force stay" in alone.stderr
    found = json.loads(alone.stdout)
    [archive] = found["destinations"]
    assert [archive[name] for name in ("calls_before", "calls_after", "gained", "lost", "changed")] == [2, 2, 0, 0, 0]
    assert found["routes"]["routes"] == [{"route": "away", "matched": 2}]
    bare = ruled.run("rules", "test", str(ruled.folder / "none.toml"), "--where", 'session == "ruled"', "--json")
    assert bare.stderr == ""
    assert [one["rule"] for one in json.loads(bare.stdout)["rules"]] == ["everything"]
    explained = ruled.run("rules", "test", "--explain", calls[0]["id"])
    assert "✓ sessions of ours: matches" in explained.stdout
    assert '→ archive (content full, team.name = "search")' in explained.stdout


def test_wrong_rules_end_the_command_with_2_and_keep_a_gateway_from_starting(tmp_path):
    (tmp_path / "faregate.toml").write_text(SETTINGS.replace("cost_usd", "cost_us"))
    checked = faregate("rules", "check", cwd=tmp_path)
    assert checked.returncode == 2
    assert "faregate.toml:14: rule 2 (dear), when: There is no variable `cost_us`" in checked.stderr
    started = faregate("up", "--port", "0", cwd=tmp_path)
    assert started.returncode != 0
    assert "did you mean `cost_usd`?" in started.stderr

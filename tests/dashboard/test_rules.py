"""Rules over HTTP and by the command: those in force, and others tried on recorded calls."""

import json
from decimal import Decimal

import pytest
from click.testing import CliRunner

from config.rule_files import routes_of_documents
from config.rules import rules_of_documents
from dashboard.rules import MOST_CALLS, RuleDesk
from domain.decisions import Decision
from domain.exchange import Labels
from domain.spans import PICO_PER_USD
from gateway.commands.rules import rules as command
from gateway.commands.tables import NOTHING
from routing.route_trial import tried_routes
from routing.routes import RouteRules
from routing.rules import RuleValue, SpanRules
from tests.dashboard.conftest import TOKEN
from tests.dashboard.spans import content, span

TAKES = {"langfuse": "spans", "bucket": "spans", "slack": "events"}
IN_FORCE = [
    RuleValue("errors", when='outcome == "error"', send_to=("langfuse",)),
    RuleValue("money", events=("budget.*",), send_to=("slack",)),
    RuleValue("old", send_to=("bucket",), enabled=False),
]
TASTE = {"name": "all to the bucket", "send_to": "bucket", "content": "none"}
KEEP = {"name": "errors", "when": 'outcome == "error"', "send_to": ["langfuse"]}


def try_routes(documents, spans):
    return tried_routes(
        RouteRules([]),
        RouteRules(routes_of_documents(documents)),
        spans,
        dialects={"openai": "openai", "azure": "openai"},
        default="openai",
        price=lambda _: 5,
    )


@pytest.fixture
def ruled(office):
    """Ten calls, of which two failed and nine have a known cost; the first is the oldest."""
    for number in range(10):
        labels = Labels(session=f"s{number // 2}", tags={"team": "search"} if number < 4 else {})
        made = span(
            number,
            labels=labels,
            outcome="error" if number in {3, 7} else "ok",
            cost=None if number == 9 else PICO_PER_USD * number,
            request_bytes=1_000,
            response_bytes=2_000,
            decisions=(Decision("errors", matched=False, why="does not match"),),
        )
        office.spans.save([(made, content())])
    office.app.state.rules = RuleDesk(
        SpanRules(IN_FORCE, TAKES),
        TAKES,
        {"langfuse": "full", "bucket": "full", "slack": "full"},
        rules_of_documents,
        {"errors": "faregate.toml:12"},
        try_routes,
    )
    return office


def tried(office, **asked):
    with office.client() as client:
        answer = client.post("/api/v1/rules/test", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(office, **asked):
    with office.client() as client:
        answer = client.post("/api/v1/rules/test", json=asked)
    assert answer.status_code == 400, answer.text
    return answer.json()


def test_the_rules_in_force_are_listed_with_their_place(ruled):
    with ruled.client() as client:
        found = client.get("/api/v1/rules").json()
        assert client.get("/api/v1/rules?x=1").status_code == 400
    assert [(rule["name"], rule["enabled"], rule["place"]) for rule in found["rules"]] == [
        ("errors", True, "faregate.toml:12"),
        ("money", True, None),
        ("old", False, None),
    ]
    assert found["in_force"] == ["errors", "money"]
    assert found["implicit"] == []
    assert found["destinations"] == TAKES


def test_what_goes_without_saying_is_listed_too(ruled):
    takes = TAKES | {"mail": "both"}
    ruled.app.state.rules = RuleDesk(SpanRules([], takes, ["mail"]), takes, {}, rules_of_documents, {}, channels=["mail"])
    with ruled.client() as client:
        found = client.get("/api/v1/rules").json()
    assert found["rules"] == []
    assert [(rule["name"], rule["send_to"]) for rule in found["implicit"]] == [
        ("everything", ["langfuse", "bucket"]),
        ("everything that happens", ["slack", "mail"]),
    ]
    assert tried(ruled, rules=[])["rules"][0]["rule"] == "everything"


def test_rules_need_the_admin_token_and_an_office_that_has_them(ruled):
    with ruled.client(token=None) as client:
        assert client.get("/api/v1/rules").status_code == 401
        assert client.post("/api/v1/rules/test", json={}).status_code == 401
    ruled.app.state.rules = None
    with ruled.client() as client:
        assert client.get("/api/v1/rules").status_code == 404


def test_rules_are_tried_on_recorded_calls_beside_those_in_force(ruled):
    found = tried(ruled, rules=[KEEP, TASTE])
    assert (found["calls"], found["complete"]) == (10, True)
    assert found["from"] < found["to"]
    errors, everything = found["rules"]
    assert (errors["rule"], errors["matched"], errors["share"]) == ("errors", 2, 0.2)
    assert Decimal(errors["cost_usd"]) == 3 + 7
    assert errors["why_not"] == [{"why": "does not match", "calls": 8}]
    assert (everything["matched"], everything["unknown_cost_calls"], len(everything["examples"])) == (10, 1, 3)
    langfuse, bucket, slack = found["destinations"]
    assert [langfuse[name] for name in ("calls_before", "calls_after", "gained", "lost", "changed")] == [2, 2, 0, 0, 0]
    assert [bucket[name] for name in ("calls_before", "calls_after", "gained", "lost", "changed")] == [0, 10, 10, 0, 0]
    assert langfuse["bytes_after"] == 2 * (1_500 + 3_000)
    assert bucket["bytes_after"] == 10 * 1_500
    assert slack["calls_after"] == 0
    assert found["told_to_nobody"] == {"before": 8, "after": 0}
    assert found["routes"] is None


def test_what_a_destination_loses_and_gets_otherwise_is_counted(ruled):
    quiet = {"when": 'tags.team == "search"', "drop": True}
    found = tried(ruled, rules=[KEEP | {"redact": ["secrets"]}, quiet])
    [langfuse] = [one for one in found["destinations"] if one["destination"] == "langfuse"]
    assert (langfuse["calls_before"], langfuse["calls_after"], langfuse["lost"], langfuse["changed"]) == (2, 1, 1, 1)
    dropping = found["rules"][1]
    assert (dropping["rule"], dropping["matched"]) == ("rule 2", 4)
    assert dropping["why_not"] == [{"why": "there is no tag 'team'", "calls": 6}]


def test_without_rules_those_in_force_are_tried_and_change_nothing(ruled):
    found = tried(ruled)
    assert [one["rule"] for one in found["rules"]] == ["errors"]
    assert all(one["gained"] == one["lost"] == one["changed"] == 0 for one in found["destinations"])


def test_how_many_calls_and_which_can_be_said(ruled):
    newest = tried(ruled, last=3)
    assert newest["calls"] == 3
    assert tried(ruled, where='outcome == "error"')["calls"] == 2
    assert tried(ruled, where='outcome == "error"', last=1)["calls"] == 1
    assert tried(ruled, to=newest["from"])["calls"] == 7
    assert tried(ruled, **{"from": newest["from"]})["calls"] == 3
    assert tried(ruled, where="status == 999")["calls"] == 0


def test_every_decision_about_one_call_is_explained(ruled):
    [newest] = tried(ruled, rules=[TASTE], last=1)["rules"][0]["examples"]
    rules = [
        TASTE | {"set": {"team": "tags.team", "cents": "1.5"}, "otherwise": "langfuse"},
        {"when": "cost_usd > 1.0", "send_to": "langfuse"},
    ]
    assert tried(ruled, rules=rules, explain=newest) == {
        "id": newest,
        "decisions": [
            {"rule": "all to the bucket", "matched": True, "why": "every call; team is not set: there is no tag 'team'"},
            {"rule": "rule 2", "matched": False, "why": "cost_usd is not known"},
        ],
        "values": {"cost_usd": None, "tags": {}},
        "owed": [{"destination": "bucket", "content": "none", "redact": None, "set": {"cents": 1.5}, "otherwise": "langfuse"}],
        "recorded": [{"kind": "rule", "rule": "errors", "matched": False, "why": "does not match"}],
    }
    with ruled.client() as client:
        assert client.post("/api/v1/rules/test", json={"explain": "0" * 32}).status_code == 404


def test_routes_are_tried_too(ruled):
    found = tried(ruled, rules=[KEEP], routes=[{"name": "dear", "when": 'model == "gpt-4o"', "try": ["azure"]}])
    assert found["routes"]["routes"] == [{"route": "dear", "matched": 10}]
    assert [(one["from"], one["to"], one["calls"], one["cost_change_usd"]) for one in found["routes"]["changes"]] == [
        ("openai", "azure", 10, None)
    ]
    assert "did you mean `model`?" in refused(ruled, routes=[{"when": 'modle == "x"', "try": ["azure"]}])["detail"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"rules": [{"send_to": "langfus"}]}, "did you mean langfuse?"),
        ({"rules": [{"send_to": "slack"}]}, "takes events only"),
        ({"rules": [{"sendto": "langfuse"}]}, "there is no setting 'sendto'"),
        ({"rules": [{"when": "x" * 3_000, "send_to": "bucket"}]}, "3000 characters"),
        ({"rules": "all"}, "list"),
        ({"rules": [3]}, "rule 1"),
        ({"rules": [{"send_to": "bucket", "sample": 2}]}, "sample"),
        ({"last": 0}, "`last` is a number"),
        ({"last": MOST_CALLS + 1}, "`last` is a number"),
        ({"last": "5"}, "`last` is a number"),
        ({"where": "modle == 'x'"}, "did you mean `model`?"),
        ({"where": 5}, "empty"),
        ({"from": "yesterday"}, "yesterday"),
        ({"explain": 5}, "`explain` is the id"),
        ({"lasst": 5}, "did you mean `last`?"),
    ],
)
def test_what_cannot_be_tried_is_refused_with_the_reason(ruled, asked, said):
    assert said in refused(ruled, **asked)["detail"]


def test_all_that_is_wrong_with_rules_is_told_as_data_too(ruled):
    problems = refused(ruled, rules=[{"name": "a", "when": "foo == 1", "send_to": "x"}, {"name": "a", "send_to": "bucket"}])[
        "problems"
    ]
    assert [(one["number"], one["rule"], one["setting"]) for one in problems] == [
        (1, "a", "when"),
        (1, "a", "send_to"),
        (2, "a", "name"),
    ]


@pytest.fixture
def run(ruled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("FAREGATE_CONFIG", "HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)

    def go(*arguments, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.toml").write_text(text)
        return CliRunner().invoke(command, arguments, env={"FAREGATE_URL": ruled.url, "FAREGATE_ADMIN_TOKEN": TOKEN})

    return go


RIGHT = """
[[rules]]
name = "all to the bucket"
send_to = ["bucket"]
content = "none"
"""
WRONG = """
[[rules]]
name = "first"
when = 'modle == "x"'
send_to = ["langfuse"]

[[rules]]
name = "second"
send_to = ["bukket"]
sample = 0.5

[[routes]]
try = ["openai"]
when = "cost_usd > 1.0"
"""
WHOLE = """
[destinations.langfuse]
type = "langfuse"
[destinations.bucket]
type = "folder"
[destinations.hook]
type = "webhook"
"""


def test_the_command_tries_a_file_and_says_what_would_change(run):
    told = run("test", "rules.toml", rules=RIGHT)
    assert told.exit_code == 0, told.output
    lines = [line.split() for line in told.output.splitlines()]
    assert ["bucket", "0", "10", "10", "0", "0", "0", "B", "15", "KiB"] in lines
    assert "Told to nobody: 8 now, 0 then." in told.output
    assert json.loads(run("test", "rules.toml", "--last", "2", "--json").stdout)["calls"] == 2
    assert "has no [[routes]]: those in force stay" in told.stderr


def test_the_command_tries_routes_of_a_file(run):
    told = run("test", "rules.toml", rules=RIGHT + '[[routes]]\nname = "eu"\ntry = ["azure"]\n')
    assert told.exit_code == 0, told.output
    assert ["openai", "azure", "10", "unknown"] in [line.split() for line in told.output.splitlines()]


def test_the_command_explains_one_call(run, ruled):
    [newest] = tried(ruled, rules=[TASTE], last=1)["rules"][0]["examples"]
    told = run("test", "rules.toml", "--explain", newest, rules=RIGHT)
    assert told.stdout == "✓ all to the bucket: every call\n→ bucket (content none)\n"
    assert run("test", "--explain", newest).output == '✗ errors: does not match\n  outcome = "ok"\nNobody is told of it.\n'
    assert run("test", "--explain", "0" * 32).exit_code == 1


def test_the_command_ends_with_2_where_rules_are_wrong(run):
    told = run("test", "rules.toml", rules=WRONG)
    assert told.exit_code == 2
    assert "rules.toml:4: rule 1 (first), when: There is no variable `modle`" in told.output
    assert "rules.toml:9: rule 2 (second), send_to: there is no destination 'bukket'; did you mean bucket?" in told.output
    assert "not known here, only of a finished call" in told.output


def test_check_says_all_that_is_wrong_at_once_with_its_line(run):
    told = run("check", "rules.toml", rules=WHOLE + WRONG)
    assert told.exit_code == 2
    assert told.output.startswith("faregate: 3 things are wrong:\n")
    assert "rules.toml:11: rule 1 (first), when:" in told.output
    asked = run("check", "rules.toml", "--json")
    found = json.loads(asked.output[: asked.output.index("faregate:")] if "faregate:" in asked.output else asked.output)
    assert found["valid"] is False
    assert [one["rule"] for one in found["problems"]] == ["rule 1 (first)", "rule 2 (second)", None]


def test_check_takes_destinations_from_the_settings_where_the_file_has_none(run):
    assert "there are none: write [destinations.NAME]" in run("check", "rules.toml", rules=RIGHT).output
    told = run("check", "rules.toml", faregate=WHOLE)
    assert told.exit_code == 0, told.output
    assert told.output == "rules.toml: 1 rule and 0 routes, all right.\n"
    assert run("check", faregate=WHOLE + RIGHT).output == "faregate.toml: 1 rule and 0 routes, all right.\n"
    assert json.loads(run("check", "--json").output) == {"valid": True, "file": "faregate.toml", "rules": 1, "problems": []}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rules]]\nsend_to = [", "not TOML"),
        ("[rules]\nsend_to = ['bucket']", "list"),
        ("rules = 5", "list"),
        ("[[rules]]\nsend_to = ['bucket']\nset = {'a b' = '1'}", "set.a b"),
        ("[[rules]]\nsend_to = ['slack']\nevents = ['budget']", "no destination 'slack'"),
        ("[[rules]]\nsend_to = ['hook']\nredact = ['secret s']", "did you mean"),
        ("[[routes]]\ntry = ['opnai']", "did you mean openai?"),
        ("[[routes]]\ntries = ['openai']", "tries"),
    ],
)
def test_check_bears_anything(run, text, said):
    told = run("check", "rules.toml", faregate=WHOLE, rules=text)
    assert told.exit_code == 2
    assert said in told.output


def test_check_needs_a_file(run):
    assert run("check").exit_code == 2
    assert "it cannot be read" in run("check", "nowhere.toml").output


def test_the_command_lists_the_rules(run):
    lines = [" ".join(line.replace(NOTHING, "").split()) for line in run("list").output.splitlines()]
    assert lines[1] == 'errors outcome == "error" langfuse faregate.toml:12'
    assert lines[2] == "money budget.* slack"
    assert lines[3] == "old every call bucket switched off"
    assert json.loads(run("list", "--json").output)["in_force"] == ["errors", "money"]

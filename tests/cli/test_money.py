"""`faregate usage` and `faregate budgets`, on a running gateway."""

import csv
import io
import json
from decimal import Decimal

import pytest

from gateway.commands.usage import cost_text
from tests.cli.installation import faregate, until
from tests.cli.test_asking import app, calls_where

CUSTOMER = "=cmd|evil"


@pytest.fixture(scope="module")
def recorded(up):
    """Three calls that are recorded, of a customer whose name a spreadsheet would run."""
    run = up.run("run", "--session", "sums", "--section", "agent:sums/tool:b", "--customer", CUSTOMER, "--", *app(3))
    assert run.returncode == 0, run.stderr

    def found():
        calls = calls_where(up, 'session == "sums"')
        return calls if len(calls) == 3 else None

    return until(found, "they are not recorded")


def told(up, *arguments):
    run = up.run(*arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_usage_is_the_sum_of_the_calls(up, recorded):
    found = json.loads(
        told(up, "usage", "--by", "model,customer", "--by", "section", "--customer", CUSTOMER, "--last", "1d", "--json")
    )
    [row] = found["rows"]
    assert (row["model"], row["customer"], row["section"], row["calls"]) == (
        recorded[0]["model"],
        CUSTOMER,
        "agent:sums/tool:b",
        3,
    )
    costs = [Decimal(call["cost_usd"]) for call in recorded if call["cost_usd"] is not None]
    assert Decimal(row["cost_usd"] or 0) == sum(costs)
    assert row["unknown_cost_calls"] == sum(call["cost_status"] == "unknown" for call in recorded)
    for kind in ("input_tokens", "output_tokens"):
        assert row["usage"][kind] == sum(call["usage"][kind] for call in recorded)


def test_csv_has_what_json_has_and_nothing_that_a_spreadsheet_runs(up, recorded):
    text = told(
        up,
        "usage",
        "--by",
        "customer",
        "--section",
        "agent:sums",
        "--last",
        "1d",
        "--step",
        "day",
        "--tz",
        "Asia/Kathmandu",
        "--csv",
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sum(int(row["calls"]) for row in rows) == 3
    assert {row["customer"] for row in rows} == {f"'{CUSTOMER}"}
    assert all(row["start"].endswith("Z") and row["cost_usd"] is not None for row in rows)
    assert sum(int(row["output_tokens"]) for row in rows) == sum(call["usage"]["output_tokens"] for call in recorded)


def test_the_table_has_a_total(up, recorded):
    lines = told(up, "usage", "--by", "customer", "--customer", CUSTOMER).splitlines()
    assert lines[0].split() == ["customer", "calls", "cost", "cost", "unknown", "in", "cached", "out"]
    assert lines[1].startswith(CUSTOMER)
    assert lines[-1].startswith("total")
    assert len(lines) == 3
    stepped = told(up, "usage", "--customer", CUSTOMER, "--step", "hour", "--last", "2h").splitlines()
    assert stepped[0].startswith("hour")
    assert stepped[-1].startswith("total")
    assert len(told(up, "usage", "--customer", CUSTOMER).splitlines()) == 2


def test_estimates_are_marked_and_unknown_is_not_free():
    sums = {"calls": 2, "cost_usd": "0.5", "estimated_calls": 1}
    assert cost_text(sums) == "~$0.5"
    assert cost_text(sums | {"estimated_calls": 0}) == "$0.5"
    assert cost_text(sums | {"cost_usd": None}) == "unknown"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["usage", "--by", "modle"], 2, "choose among project, key, model"),
        (["usage", "--tz", "Mars"], 1, "no time zone 'Mars'"),
        (["budgets", "set", "kye:ci", "20/month"], 2, "did you mean 'key'"),
        (["budgets", "set", "key:ci", "twenty/month"], 2, "write an amount such as 20"),
        (["budgets", "set", "key:ci", "20/moth"], 2, "did you mean 'month'"),
        (["budgets", "set", "key:ci", "20/month", "--tz", "Paris"], 1, "no time zone 'Paris'"),
        (["budgets", "show", "key:nobody"], 1, "There is no budget key:nobody"),
        (["budgets", "remove", "key:nobody"], 1, "There is no budget key:nobody"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(up, arguments, code, said):
    run = up.run(*arguments)
    assert run.returncode == code, run.stderr
    assert said in run.stderr


def test_a_budget_from_its_setting_to_its_removal(up):
    made = json.loads(
        told(
            up,
            "budgets",
            "set",
            "customer:c1",
            "20.50/month",
            "--mode",
            "soft",
            "--warn-at",
            "0.9",
            "--tz",
            "Europe/Paris",
            "--json",
        )
    )
    assert (made["scope"], made["limit"], made["window"], made["mode"]) == ("customer:c1", "20.50", "month", "soft")
    assert (made["warn_at"], made["timezone"], made["spent"]) == ([0.9], "Europe/Paris", "0.00")
    listed = json.loads(told(up, "budgets", "list", "--json"))
    assert made["id"] in [one["id"] for one in listed]
    raised = json.loads(told(up, "budgets", "raise", "customer:c1", "5", "--windows", "2", "--reason", "a launch", "--json"))
    assert (raised["limit"], raised["effective_limit"]) == ("20.50", "25.50")
    shown = told(up, "budgets", "show", "customer:c1")
    assert "$20.50 (now $25.50)" in shown
    assert "a launch" in shown
    told(up, "budgets", "set", "customer:c1", "1000 requests/day")
    several = up.run("budgets", "remove", "customer:c1")
    assert several.returncode == 1
    assert made["id"] in several.stderr
    assert "is removed" in told(up, "budgets", "remove", made["id"])
    told(up, "budgets", "raise", "customer:c1", "500")
    assert "1000 requests (now 1500)" in told(up, "budgets", "list")
    told(up, "budgets", "remove", "customer:c1")
    assert "customer:c1" not in told(up, "budgets", "list")


def test_the_sums_can_be_made_again_from_the_calls(up, recorded):
    before = json.loads(told(up, "usage", "--by", "customer", "--customer", CUSTOMER, "--json"))["rows"]
    again = faregate("db", "rebuild-usage", "--data", str(up.folder / "faregate-data"), "--json", cwd=up.folder)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["calls"] >= 3
    assert json.loads(told(up, "usage", "--by", "customer", "--customer", CUSTOMER, "--json"))["rows"] == before


def test_a_budget_of_the_file_is_listed_with_its_line(begin, tmp_path):
    (tmp_path / "faregate.toml").write_text(
        '[[budgets]]\nscope = "all"\nlimit_usd = 5\n\n[[budgets]]\nscope = "each key"\nlimit_requests = 9\n'
    )
    own = begin()
    own.event("dashboard")
    listed = until(lambda: json.loads(own.run("budgets", "list", "--json").stdout or "[]"), "no budgets")
    assert [(one["scope"], one["place"], one["locked"]) for one in listed] == [
        ("all", "faregate.toml:1", True),
        ("each key", "faregate.toml:5", True),
    ]
    refused = own.run("budgets", "remove", "all")
    assert refused.returncode == 1
    assert "faregate.toml:1" in refused.stderr

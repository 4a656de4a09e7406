import pytest

from domain.budget_text import (
    MOST_NANO,
    amount_text,
    limit_and_window_of,
    limit_of,
    limit_text,
    scope_of,
    scope_text,
    usd_nano,
    usd_text,
    window_rule_of,
    window_text,
)
from domain.budgets import Budget, Scope, Subject, WindowRule
from domain.matching import could_match, member_of, shown_name

SUBJECT = Subject("ci", "search", "acme", {"team": "red"}, "gpt-4o-mini", "openai")


@pytest.mark.parametrize(
    ("text", "scope", "written"),
    [
        ("key:ci", Scope("key", "ci"), "key:ci"),
        ("project:search", Scope("project", "search"), "project:search"),
        ("customer:acme & sons", Scope("customer", "acme & sons"), "customer:acme & sons"),
        ("tag:team=red", Scope("tag", "red", "team"), "tag:team=red"),
        ("tag: team = red ", Scope("tag", "red", "team"), "tag:team=red"),
        ("model:gpt-4o*", Scope("model", "gpt-4o*"), "model:gpt-4o*"),
        ("all", Scope("all"), "all"),
        ("each key", Scope("key", share="each"), "each key"),
        ("key:*", Scope("key", share="each"), "each key"),
        ("each customer", Scope("customer", share="each"), "each customer"),
        ("customer:*", Scope("customer", share="each"), "each customer"),
        ("each tag:team", Scope("tag", None, "team", "each"), "each tag:team"),
        ("tag:team=*", Scope("tag", None, "team", "each"), "each tag:team"),
        ("each model", Scope("model", share="each"), "each model"),
        ("each model:gpt-*", Scope("model", "gpt-*", share="each"), "each model:gpt-*"),
    ],
)
def test_a_scope_is_read_and_written(text, scope, written):
    assert scope_of(text) == scope
    assert scope_text(scope) == written
    assert scope_of(written) == scope


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keys:ci", "did you mean 'key'?"),
        ("costumer:acme", "did you mean 'customer'?"),
        ("key", "write `key:NAME`"),
        ("key:", "write `key:NAME`"),
        ("all:x", "`all` stands alone"),
        ("each all", "`all` stands alone"),
        ("each customer:acme", "write `each customer`"),
        ("tag:team", "write `tag:NAME=VALUE`"),
        ("tag:=x", "write `tag:NAME=VALUE`"),
        ("tag:team=", "write `tag:NAME=VALUE`"),
        ("each tag:team=red", "write `tag:NAME=VALUE`"),
        ("customer:" + "x" * 257, "at most 256 printable characters"),
        ("customer:a\nb", "printable characters"),
        ("", "there is no scope"),
    ],
)
def test_a_scope_that_is_none_is_refused_with_what_would_be_right(text, said):
    with pytest.raises(ValueError, match=r".") as caught:
        scope_of(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rule", "written"),
    [
        *((kind, WindowRule(kind), kind) for kind in ("hour", "day", "week", "month", "quarter", "total")),
        ("Month ", WindowRule("month"), "month"),
        ("rolling:24h", WindowRule("rolling", seconds=86_400), "rolling:1d"),
        ("90m", WindowRule("rolling", seconds=5_400), "rolling:90m"),
        ("rolling:60s", WindowRule("rolling", seconds=60), "rolling:1m"),
        ("rolling:61s", WindowRule("rolling", seconds=61), "rolling:61s"),
    ],
)
def test_a_window_is_read_and_written(text, rule, written):
    assert window_rule_of(text) == rule
    assert window_text(rule) == written


@pytest.mark.parametrize(
    ("text", "said"),
    [("monthly", "did you mean 'month'?"), ("rolling:1s", "one minute"), ("rolling:9999d", "366 days"), ("", "a window is")],
)
def test_a_window_that_is_none_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        window_rule_of(text)


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("20", 20 * 10**9, "usd"),
        ("$20.50", 20_500_000_000, "usd"),
        ("0.000000001", 1, "usd"),
        ("1,000", 1_000 * 10**9, "usd"),
        ("2k", 2_000 * 10**9, "usd"),
        ("15 usd", 15 * 10**9, "usd"),
        ("500k tokens", 500_000, "tokens"),
        ("1.5m tokens", 1_500_000, "tokens"),
        ("1000requests", 1_000, "requests"),
        ("3 calls", 3, "requests"),
    ],
)
def test_a_limit_is_exact(text, amount, unit):
    assert limit_of(text) == (amount, unit)


@pytest.mark.parametrize("text", ["", "much", "-5", "1e3", "20 euros", "0.0000000001", "9000001", "0.5 tokens", "NaN", "inf"])
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        limit_of(text)


def test_a_limit_and_its_window_are_one_text():
    assert limit_and_window_of("20/month") == (20 * 10**9, "usd", WindowRule("month"))
    assert limit_and_window_of("5/rolling:24h", timezone="Europe/Paris")[2] == WindowRule(
        "rolling", "Europe/Paris", seconds=86_400
    )
    assert limit_and_window_of("7") == (7 * 10**9, "usd", WindowRule("total"))
    assert limit_text(Budget("b", Scope("all"), 20 * 10**9, WindowRule("month"))) == "20.00/month"
    assert limit_text(Budget("b", Scope("all"), 5_000, WindowRule("day"), "tokens")) == "5,000 tokens/day"


@pytest.mark.parametrize(
    ("value", "nano"), [("20.00", 20 * 10**9), (20, 20 * 10**9), (0.1, 10**8), ("9000000", MOST_NANO), ("0", 0)]
)
def test_dollars_are_never_rounded(value, nano):
    assert usd_nano(value) == nano


@pytest.mark.parametrize("value", [True, "abc", "1e99", "-1", "0.1234567891", float("nan"), float("inf"), "9000000.01"])
def test_dollars_that_are_none_are_refused(value):
    with pytest.raises(ValueError, match="amount"):
        usd_nano(value)


@pytest.mark.parametrize(
    ("nano", "text"), [(0, "0.00"), (10**9, "1.00"), (333_000, "0.000333"), (-1_500_000_000, "-1.50"), (1, "0.000000001")]
)
def test_dollars_are_written_without_exponents(nano, text):
    assert usd_text(nano) == text


def test_amounts_are_shown_in_their_unit():
    assert [amount_text(9_980_000_000, "usd"), amount_text(120_000, "tokens"), amount_text(1, "requests")] == [
        "$9.98",
        "120,000 tokens",
        "1 request",
    ]
    assert amount_text(-5 * 10**8, "usd") == "-$0.50"


@pytest.mark.parametrize(
    ("scope", "member"),
    [
        ("key:ci", ""),
        ("key:other", None),
        ("each key", "ci"),
        ("project:search", ""),
        ("each project", "search"),
        ("customer:acme", ""),
        ("customer:other", None),
        ("each customer", "acme"),
        ("tag:team=red", ""),
        ("tag:team=blue", None),
        ("tag:other=red", None),
        ("each tag:team", "red"),
        ("each tag:other", None),
        ("model:gpt-4o*", ""),
        ("model:openai/*", ""),
        ("model:claude*", None),
        ("each model", "gpt-4o-mini"),
        ("each model:gpt-*", "gpt-4o-mini"),
        ("all", ""),
    ],
)
def test_a_call_counts_in_the_sum_that_is_meant(scope, member):
    assert member_of(scope_of(scope), SUBJECT) == member


def test_a_call_without_a_customer_or_model_falls_under_no_budget_of_theirs():
    nobody = Subject("ci", "search", None, {}, None, "openai")
    assert [member_of(scope_of(text), nobody) for text in ("each customer", "each model", "each tag:team")] == [None, None, None]


def test_only_budgets_of_other_keys_and_projects_are_ruled_out_beforehand():
    def budget(scope):
        return Budget("b", scope_of(scope), 1, WindowRule("total"))

    found = [
        could_match(budget(scope), key="ci", project="search")
        for scope in ("key:ci", "key:x", "project:x", "customer:x", "each key", "all")
    ]
    assert found == [True, False, False, True, True, True]


def test_a_member_is_named_in_a_refusal():
    each, tag = (Budget("b", scope_of(text), 1, WindowRule("total")) for text in ("each customer", "each tag:team"))
    assert (shown_name(each, "acme"), shown_name(tag, "red"), shown_name(each, "")) == (
        "customer:acme",
        "tag:team=red",
        "customer:*",
    )

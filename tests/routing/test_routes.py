"""Conditions of routes: what they can say, what they know before a call is sent, and what they say where something is unknown."""

from dataclasses import fields

import pytest

from domain.exchange import Labels
from domain.routes import Aim, RouteRule
from routing.routes import MOST_DECISIONS, MOST_REMEMBERED, ROUTE_VARIABLES, Known, RouteRules, bounded, condition
from routing.variables import VARIABLES

LABELS = Labels(session="s-1", customer="acme", env="prod", tags={"team": "search"})
# 2026-11-21 18:30 UTC
AT = 1_795_285_800 * 10**9


def known(**changed) -> Known:
    values = {
        "model": "gpt-4o",
        "upstream": "openai",
        "named": False,
        "dialect": "openai",
        "method": "POST",
        "path": "/v1/chat/completions",
        "key": "ci",
        "project": "default",
        "labels": LABELS,
        "at": AT,
        "stream": True,
        "max_tokens": 500,
        "n": 1,
        "service_tier": "flex",
        "request_bytes": 812,
    }
    return Known(**(values | changed))


def verdict(call: Known, *whens: str | None):
    rules = RouteRules([RouteRule(f"r{number}", when, (Aim("sim"),)) for number, when in enumerate(whens)])
    return rules.verdict(call, lambda _: None)


def why(when: str, **changed) -> str | None:
    """Return why a call does not fall under a route; None where it does."""
    found = verdict(known(**changed), when)
    return None if found.route is not None else found.decisions[0].why


@pytest.mark.parametrize(
    "when",
    [
        'model.startsWith("gpt-4")',
        'upstream == "openai" && dialect == "openai"',
        'method == "POST" && path.endsWith("/chat/completions")',
        'key == "ci" && project == "default"',
        'session == "s-1" && customer == "acme" && env == "prod"',
        'tags.team == "search" && has(tags.team) && !has(tags.other)',
        "run == null && section == null && user == null && release == null && prompt == null",
        "stream && max_tokens <= 500 && n == 1",
        'service_tier == "flex" && request_bytes > 800',
        "started_at.getHours() == 18",
        'model in ["gpt-4o", "o3"]',
    ],
)
def test_what_is_known_before_a_call_is_sent(when):
    assert why(when) is None


def test_every_variable_can_be_read_and_is_of_its_type():
    kinds = {"string": str, "int": int, "bool": bool, "map(string, string)": dict}
    filled = known(
        labels=Labels(**dict.fromkeys(("session", "run", "section", "customer", "user", "env", "release", "prompt"), "x"))
    )
    for name, variable in ROUTE_VARIABLES.items():
        value = variable.read(filled)
        assert value is not None, name
        assert isinstance(value, kinds.get(variable.type, object)), name
        assert condition(f"{name} == {name}").names == (name,)


def test_names_mean_the_same_as_in_rules_and_searches():
    assert {name for name in ROUTE_VARIABLES if name not in VARIABLES} == {"dialect", "max_tokens", "n", "service_tier"}
    for name in ROUTE_VARIABLES.keys() & VARIABLES.keys():
        assert ROUTE_VARIABLES[name].type == VARIABLES[name].type, name
    assert {field.name for field in fields(Known)} >= {variable.path.partition(".")[0] for variable in ROUTE_VARIABLES.values()}


@pytest.mark.parametrize(
    ("when", "changed", "reason"),
    [
        ("max_tokens > 10", {"max_tokens": None}, "max_tokens is not known"),
        ('tags.region == "eu"', {}, "there is no tag 'region'"),
        ('customer.startsWith("a")', {"labels": Labels()}, "customer is not known"),
        ("stream", {"stream": None}, "does not match"),
        ("1 / n == 0", {"n": 0}, "the expression cannot be evaluated on this call"),
        ('model == "o3"', {}, "does not match"),
    ],
)
def test_what_is_unknown_does_not_match_and_says_so(when, changed, reason):
    assert why(when, **changed) == reason


def test_null_can_be_compared():
    assert why('customer != "acme"', labels=Labels()) is None


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ('custmer == "acme"', "did you mean `customer`?"),
        ("cost_usd > 0.05", "only of a finished call"),
        ('outcome == "error"', "only of a finished call"),
        ("model > 5", "mixes types"),
        ("max_tokens + 1", "must be true or false"),
        ('model = "x"', "Write `==` to compare"),
        ("", "empty"),
        ("model == '" + "x" * 2_000 + "'", "at most 2000"),
    ],
)
def test_what_cannot_be_a_condition_is_refused_when_it_is_read(when, message):
    with pytest.raises(ValueError, match=message):
        RouteRules([RouteRule("r", when)])


# Order, and what is remembered


def test_the_first_match_counts():
    found = verdict(known(), 'model == "o3"', 'session == "s-1"', None)
    assert found.route.rule.name == "r1"
    assert [(one.rule, one.matched, one.kind) for one in found.decisions] == [("r0", False, "route")]


def test_what_is_remembered_is_right_for_other_calls():
    rules = RouteRules(
        [RouteRule("a", 'model == "m7" && tags.team == "t"', (Aim("sim"),)), RouteRule("b", 'session == "s3"', (Aim("sim"),))]
    )
    for _ in range(3):
        for number in range(MOST_REMEMBERED + 20):
            for team in ("t", "u"):
                call = known(model=f"m{number}", labels=Labels(session=f"s{number}", tags={"team": team}))
                route = rules.verdict(call, lambda _: None).route
                expected = "a" if (number, team) == (7, "t") else "b" if number == 3 else None
                assert (route.rule.name if route else None) == expected


def test_a_condition_that_meets_too_many_values_remembers_no_more():
    rules = RouteRules([RouteRule("a", 'customer == "c5"', (Aim("sim"),))])
    assert rules.routes[0].remembers
    for number in range(MOST_REMEMBERED + 2):
        rules.verdict(known(labels=Labels(customer=f"c{number}")), lambda _: None)
    assert not rules.routes[0].remembers
    assert rules.verdict(known(labels=Labels(customer="c5")), lambda _: None).route is not None


def test_a_route_that_cannot_serve_a_call_leaves_it_to_the_next():
    rules = RouteRules([RouteRule("a", None, (Aim("sim"),)), RouteRule("b", None, (Aim("sim"),))])
    found = rules.verdict(known(), lambda route: "no key" if route.rule.name == "a" else None)
    assert (found.route.rule.name, found.decisions[0].why) == ("b", "no key")


# Calls that name their upstream


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (RouteRule("a", 'model == "gpt-4o"', (Aim("sim"),)), False),
        (RouteRule("a", None, (Aim("sim"),)), False),
        (RouteRule("a", 'upstream == "openai"', (Aim("sim"),)), True),
        (RouteRule("a", 'model == "gpt-4o"', deny="no"), True),
        (RouteRule("a", None, model="other"), True),
    ],
)
def test_an_upstream_that_a_call_names_is_left_unless_the_route_asks_for_it(rule, matches):
    found = RouteRules([rule]).verdict(known(named=True), lambda _: None)
    assert (found.route is not None) is matches
    if not matches:
        assert found.decisions[0].why == "the call itself names the upstream openai"


# Hostile values


@pytest.mark.parametrize("text", ["\ud800", "x" * 10**6, "\x00", "é" * 9_000, "' || true || '"])
def test_what_callers_write_is_only_ever_a_value(text):
    call = known(model=text, path=text, labels=Labels(session=text, customer=text, tags={"team": text}))
    rules = ('model == "gpt-4o"', 'session.startsWith("gpt")', 'tags.team.matches("^(a+)+$")', 'customer.contains("acme")')
    assert verdict(call, *rules).route is None


def test_numbers_beyond_all_bounds_are_no_trouble():
    assert why("max_tokens > 5", max_tokens=2**63) == "max_tokens is not known"


# Bounds


def test_many_decisions_are_shortened_in_the_middle():
    found = verdict(known(), *(f'model == "m{number}"' for number in range(100)))
    kept = bounded(found.decisions)
    assert len(kept) == MOST_DECISIONS
    assert (kept[0].rule, kept[-1].rule) == ("r0", "r99")
    assert kept[-2].why == "69 more routes do not match either"
    assert bounded(found.decisions[:MOST_DECISIONS]) == tuple(found.decisions[:MOST_DECISIONS])

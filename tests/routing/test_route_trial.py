"""Routes tried on recorded calls."""

from dataclasses import replace

from domain.decisions import Decision
from domain.routes import Aim, RouteRule
from domain.spans import PICO_PER_USD
from routing.route_trial import tried_routes
from routing.routes import RouteRules
from tests.routing.test_where import SPAN

DIALECTS = {"openai": "openai", "azure": "openai", "groq": "openai"}
DEAR = replace(SPAN, model="gpt-4", cost=5 * PICO_PER_USD)


def tried(spans, after, before=()):
    def price(span):
        return {"azure": PICO_PER_USD, "groq": None}.get(span.upstream)

    return tried_routes(RouteRules(before), RouteRules(after), spans, dialects=DIALECTS, default="openai", price=price)


def test_what_would_go_elsewhere_is_counted_with_its_change_of_cost():
    route = RouteRule("dear ones", when='model == "gpt-4"', aims=(Aim("azure"), Aim("openai")))
    assert tried([SPAN, DEAR, DEAR], [route]) == {
        "routes": [{"route": "dear ones", "matched": 2}],
        "changes": [{"from": "openai", "to": "azure", "calls": 2, "cost_change_usd": "-8"}],
    }


def test_a_cost_that_is_not_known_makes_no_sum():
    [change] = tried([DEAR], [RouteRule("all", aims=(Aim("groq", "llama"),))])["changes"]
    assert (change["to"], change["cost_change_usd"]) == ("groq/llama", None)


def test_what_depends_on_the_moment_is_all_that_it_may_be():
    split = RouteRule("ab", aims=(Aim("azure", weight=9), Aim("groq")), strategy="split")
    [change] = tried([DEAR], [split])["changes"]
    assert (change["to"], change["cost_change_usd"]) == ("azure | groq", None)


def test_a_refusal_saves_the_cost():
    [change] = tried([DEAR], [RouteRule("no", when='model == "gpt-4"', deny="too dear")])["changes"]
    assert (change["to"], change["cost_change_usd"]) == ("(denied)", "-5")


def test_routes_in_force_change_nothing():
    routes = [RouteRule("all", aims=(Aim("azure"),)), RouteRule("tags", when='tags.team == "x"', deny="no")]
    found = tried([SPAN, DEAR], routes, routes)
    assert found["changes"] == []
    assert [one["matched"] for one in found["routes"]] == [2, 0]


def test_a_call_that_was_routed_is_tried_from_the_default_upstream():
    routed = replace(DEAR, upstream="azure", decisions=(Decision("all", matched=True, why="azure", kind="route"),))
    [change] = tried(
        [routed], [RouteRule("none", when='upstream == "groq"', deny="no")], [RouteRule("all", aims=(Aim("azure"),))]
    )["changes"]
    assert (change["from"], change["to"]) == ("azure", "openai")

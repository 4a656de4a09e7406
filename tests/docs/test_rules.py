"""The cookbook of rules: every recipe is read as settings are, and does what its title says."""

import tomllib
from dataclasses import replace

import pytest

from config.rules import rules_of_documents
from docs._recipes import RECIPES
from docs._rules import rules_page
from domain.calls import ToolCall, Usage
from domain.events import Event
from domain.exchange import Attempt, Labels
from domain.spans import PICO_PER_USD
from routing.routes import ROUTE_VARIABLES
from routing.rules import SpanRules
from routing.variables import EVENT_VARIABLES, VARIABLES
from tests.routing.test_where import SPAN

TAKES = {
    "langfuse": "spans",
    "langsmith": "spans",
    "phoenix": "spans",
    "bucket": "spans",
    "datadog": "spans",
    "hook": "both",
    "slack": "events",
}
NIGHT, DAY = 1_767_225_600 * 10**9, (1_767_225_600 + 12 * 3600) * 10**9
TRY = Attempt("openai", "1", 1)
TOOL = ToolCall("1", "search", "{}")


def recipe(title):
    [found] = [one for one in RECIPES if one.title.startswith(title)]
    return SpanRules(rules_of_documents(tomllib.loads(found.text)["rules"]), TAKES)


def labelled(**labels):
    return replace(SPAN, labels=Labels(**labels))


def used(**tokens):
    return replace(SPAN, usage=Usage(**tokens))


@pytest.mark.parametrize("one", RECIPES, ids=lambda one: one.title)
def test_every_recipe_is_right(one):
    assert SpanRules(rules_of_documents(tomllib.loads(one.text)["rules"]), TAKES).values
    assert one.text.strip() in rules_page()


def test_there_are_enough_of_them_and_each_has_a_title_of_its_own():
    assert len({one.title for one in RECIPES}) == len(RECIPES) >= 15


@pytest.mark.parametrize(
    ("title", "call", "expected"),
    [
        ("Everything", SPAN, ["langfuse", "bucket"]),
        ("Failures", replace(SPAN, outcome="error", cost=None), ["langsmith"]),
        ("Failures", replace(SPAN, cost=PICO_PER_USD), ["langsmith"]),
        ("Failures", SPAN, []),
        ("Another share", labelled(env="test"), ["langfuse"]),
        ("Another share", labelled(), ["langfuse"]),
        ("Another share", labelled(env="prod", session="0"), []),
        ("A place to go", SPAN, ["langfuse"]),
        ("Each team", SPAN, ["langfuse"]),
        ("Each team", labelled(tags={"team": "ads"}), ["langsmith"]),
        ("Each team", labelled(), ["bucket"]),
        ("Each team", labelled(tags={"team": "web"}), []),
        ("Personal data", labelled(tags={"region": "eu"}), ["langsmith"]),
        ("Personal data", SPAN, []),
        ("Slow first", replace(SPAN, time_to_first_chunk_ms=3_001.0), ["hook"]),
        ("Slow first", SPAN, []),
        ("Slow first", replace(SPAN, stream=False, time_to_first_chunk_ms=9_000.0), []),
        ("Answers that", replace(SPAN, finish_reasons=("length",)), ["hook"]),
        ("Answers that", SPAN, []),
        ("Answers that", replace(SPAN, finish_reasons=()), []),
        ("Agents", replace(SPAN, tool_calls=(TOOL,) * 11), ["hook"]),
        ("Agents", used(input_tokens=200_001), ["hook"]),
        ("Agents", used(input_tokens=200_000), []),
        ("Agents", replace(SPAN, labels=Labels(), tool_calls=(TOOL,) * 11), []),
        ("Calls that needed", replace(SPAN, attempts=(TRY, TRY)), ["hook"]),
        ("Calls that needed", SPAN, []),
        ("A family", SPAN, ["bucket"]),
        ("A family", replace(SPAN, served_model=None), []),
        ("A family", replace(SPAN, served_model="gpt-4o-2024-08-06"), ["bucket"]),
        ("A family", replace(SPAN, served_model="gpt-4o"), []),
        ("Any tag", labelled(tags={"exp-7": "b"}), ["bucket"]),
        ("Any tag", SPAN, []),
        ("Calls whose price", replace(SPAN, cost=None, cost_status="unknown"), ["hook"]),
        ("Calls whose price", SPAN, []),
        ("The night", replace(SPAN, started_at=NIGHT), ["bucket"]),
        ("The night", replace(SPAN, started_at=DAY), []),
        ("Copies", replace(SPAN, mirror_of="0" * 32), ["phoenix"]),
        ("Copies", SPAN, []),
    ],
)
def test_a_recipe_does_what_it_says(title, call, expected):
    assert [owed.destination for owed in recipe(title).decide(call).owed] == expected


def test_the_trial_of_a_platform_gives_each_session_to_one():
    rules = recipe("Compare")
    told = [rules.decide(labelled(session=f"s{number}")).owed for number in range(500)]
    assert {len(owed) for owed in told} == {1}
    assert {owed[0].destination for owed in told} == {"langfuse", "phoenix"}


def test_caches_are_looked_at_in_a_sample_of_calls():
    rules = recipe("Prompts that")
    cold = used(input_tokens=20_000, cache_read_tokens=100)
    told = [bool(rules.decide(replace(cold, id=f"{number:032x}")).owed) for number in range(500)]
    assert 0 < sum(told) < 200
    warm = used(input_tokens=20_000, cache_read_tokens=19_000)
    assert not any(rules.decide(replace(warm, id=f"{number:032x}")).owed for number in range(100))


def test_bodies_of_one_customer_go_nowhere():
    rules = recipe("No bodies")
    assert {owed.content for owed in rules.decide(labelled(customer="acme")).owed} == {"none"}
    assert {owed.content for owed in rules.decide(SPAN).owed} == {None}


def test_what_is_masked_for_one_platform_is_said_with_it():
    [owed] = recipe("Personal data").decide(labelled(tags={"region": "eu"})).owed
    assert (owed.content, owed.redact) == ("redacted", ("gdpr",))


def test_the_place_to_go_goes_with_it():
    assert recipe("A place to go").decide(SPAN).owed[0].otherwise == "bucket"


@pytest.mark.parametrize("call", [replace(SPAN, upstream="sim"), labelled(env="ci"), replace(SPAN, path="/v1/models?x=1")])
def test_tests_are_told_to_nobody(call):
    rules = recipe("Nothing of tests")
    assert rules.decide(call).decisions[0].matched
    assert not rules.decide(SPAN).decisions[0].matched


def test_fields_are_what_they_should_be():
    assert recipe("A cost centre").terms(SPAN, "langfuse", asked=True).extra == {"cost.center": "search/search"}
    assert recipe("A cost centre").terms(labelled(), "langfuse", asked=True).extra == {"cost.center": "search"}
    [owed] = recipe("Fields under").decide(replace(SPAN, cost=PICO_PER_USD // 4)).owed
    assert owed.extra == {"llm.tier": "small", "llm.cents": 25.0}
    [unpriced] = recipe("Fields under").decide(replace(SPAN, cost=None)).owed
    assert unpriced.extra == {"llm.tier": "small"}


def test_trouble_goes_to_the_channel():
    rules = recipe("Budgets and")
    event = Event("1", "budget.warning", 1, "warning", "all", "80 % is spent")
    assert [owed.destination for owed in rules.for_event(event)] == ["slack"]
    failing = replace(event, type="destination.failing", severity="error")
    assert [owed.destination for owed in rules.for_event(failing)] == ["slack", "hook"]
    assert rules.for_event(replace(failing, severity="info")) == []


def test_the_page_has_every_variable_and_says_where_it_is_known():
    page = rules_page()
    for name in (*VARIABLES, *ROUTE_VARIABLES, *EVENT_VARIABLES):
        assert f"| `{name}` |" in page
    assert "| `model` | string | ✓ | ✓ |" in page
    assert "| `cost_usd` | double |  | ✓ |" in page
    assert "| `max_tokens` | int | ✓ |  |" in page


@pytest.mark.parametrize("name", sorted(VARIABLES.keys() & ROUTE_VARIABLES.keys()))
def test_a_variable_is_of_one_type_wherever_it_is_known(name):
    assert VARIABLES[name].type == ROUTE_VARIABLES[name].type
    assert type(VARIABLES[name].sample) is type(ROUTE_VARIABLES[name].sample)

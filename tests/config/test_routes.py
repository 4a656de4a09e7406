"""`[[routes]]` as the file has them: what each setting means, and what is wrong said with its place and the nearest right name."""

from pathlib import Path

import pytest

from config.errors import SettingsError
from config.loading import load_settings
from config.settings import Settings
from domain.routes import TRANSIENT, Aim, Mirror, Retries, RouteRule, RouteTimeouts

UPSTREAMS = '[upstreams.azure]\nbase_url = "https://azure.test/openai/v1"\n'


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "faregate.toml"
    path.write_text(UPSTREAMS + text)
    return load_settings(path, {}, {}).settings


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(folder, text)
    return list(caught.value.problems)


def rules(folder: Path, text: str) -> list[RouteRule]:
    return loaded(folder, text).route_values()


def test_without_routes_there_are_none(tmp_path):
    assert rules(tmp_path, "") == []


def test_everything_that_a_route_can_say(tmp_path):
    text = """
[[routes]]
name = "gpt"
when = 'model.startsWith("gpt-4") && customer != "acme"'
try = ["openai", "azure/gpt-4o-eu", "openai/meta/llama"]
strategy = "fastest"
model = "gpt-4o"
retries = { statuses = [429, 503], times = 1, backoff = "250ms", longest = "4s" }
timeout = { first_byte = "20s" }
mirror = { to = "sim/echo", share = 0.1, budget = "5/day" }
"""
    assert rules(tmp_path, text) == [
        RouteRule(
            name="gpt",
            when='model.startsWith("gpt-4") && customer != "acme"',
            aims=(Aim("openai"), Aim("azure", "gpt-4o-eu"), Aim("openai", "meta/llama")),
            strategy="fastest",
            model="gpt-4o",
            retries=Retries(frozenset({429, 503}), 1, 0.25, 4.0),
            timeouts=RouteTimeouts(None, 20.0, None),
            mirror=Mirror(Aim("sim", "echo"), 0.1, "mirror:gpt"),
        )
    ]


def test_a_split_is_sticky_by_session_unless_it_says_otherwise(tmp_path):
    text = (
        '[[routes]]\nsplit = { openai = 90, "azure/gpt-4o-eu" = 10 }\n[[routes]]\nsplit = { openai = 1.5 }\nsticky = "customer"\n'
    )
    first, second = rules(tmp_path, text)
    assert (first.strategy, first.sticky) == ("split", "session")
    assert first.aims == (Aim("openai", None, 90.0), Aim("azure", "gpt-4o-eu", 10.0))
    assert (second.sticky, second.aims) == ("customer", (Aim("openai", None, 1.5),))


def test_what_is_not_said_has_a_default(tmp_path):
    (rule,) = rules(tmp_path, "[[routes]]\nretries = {}\n")
    assert rule == RouteRule("route 1", retries=Retries(TRANSIENT, 2, 0.5, 8.0))


def test_a_refusal(tmp_path):
    assert rules(tmp_path, '[[routes]]\nwhen = \'model == "o3"\'\ndeny = "Not here."\n') == [
        RouteRule("route 1", 'model == "o3"', deny="Not here.")
    ]


def test_copies_have_a_strict_budget_of_a_key_of_their_own(tmp_path):
    text = '[[routes]]\nname = "eval"\nmirror = { to = "sim", budget = "5/day" }\n[[budgets]]\nscope = "all"\nlimit_usd = 1\n'
    settings = loaded(tmp_path, text)
    everybody, copies = settings.budget_values()
    assert (copies.name, copies.mode, copies.limit, copies.window.kind) == ("key:mirror:eval", "strict", 5 * 10**9, "day")
    assert copies.id != everybody.id
    places = settings.budget_places({"routes.0.mirror.budget": "faregate.toml:5", "budgets.0": "faregate.toml:6"})
    assert places == {copies.id: "faregate.toml:5", everybody.id: "faregate.toml:6"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('try = ["opnai"]', "faregate.toml:4: routes.0.try: there is no upstream 'opnai'; did you mean openai?"),
        ('try = ["zzz/x"]', "routes.0.try: there is no upstream 'zzz'; there are anthropic, azure, gemini, openai, sim"),
        ("split = { azur = 1 }", "routes.0.split: there is no upstream 'azur'; did you mean azure?"),
        ('mirror = { to = "opena" }', "routes.0.mirror.to: there is no upstream 'opena'; did you mean openai?"),
        ('tri = ["openai"]', "there is no setting routes.0.tri; did you mean routes.0.try?"),
        ("retries = { tims = 2 }", "there is no setting routes.0.retries.tims; did you mean routes.0.retries.times?"),
        (
            'try = ["openai"]\nwhen = \'modl == "x"\'',
            "faregate.toml:5: routes.0.when: There is no variable `modl` at character 1; did you mean",
        ),
        ('when = "true"', "routes.0: this route does nothing: set try, split, model, retries, timeout, mirror or deny"),
        ('try = ["openai"]\nsplit = { azure = 1 }', "routes.0: try and split are both set; keep one of them"),
        ('deny = "no"\ntry = ["openai"]', "routes.0: deny and try are both set; a call that is refused goes nowhere"),
        ('split = { azure = 1 }\nstrategy = "fastest"', "routes.0: strategy belongs to try; a split goes by its weights"),
        ('try = ["openai"]\nsticky = "key"', "routes.0: sticky belongs to split; try goes by its strategy"),
        ('strategy = "cheapest"', "routes.0: strategy belongs to try: list the upstreams to choose from there"),
        ("split = { azure = 0 }", "routes.0.split: write weights of 0 or more, not all of them 0"),
        ("split = { azure = -1 }", "routes.0.split: write weights of 0 or more, not all of them 0"),
        ('try = ["/x"]', 'routes.0.try.0: write an upstream such as "azure"'),
        ('try = ["azure/"]', 'routes.0.try.0: write an upstream such as "azure"'),
        ("retries = { statuses = [404] }", "routes.0.retries.statuses: 404 cannot be tried again"),
        ("retries = { statuses = [200] }", "routes.0.retries.statuses: 200 cannot be tried again"),
        ('mirror = { to = "sim", share = 1.5 }', "routes.0.mirror.share:"),
        ('mirror = { to = "sim", budget = "a lot" }', "routes.0.mirror.budget:"),
        (
            'try = ["openai"]\nname = "a"\n[[routes]]\nname = "a"\ndeny = "x"',
            "routes.1.name: routes.0 has this name too; give each its own",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, line):
    found = problems(tmp_path, f"[[routes]]\n{text}\n")
    assert len(found) == 1, found
    assert line in found[0]


def test_what_is_in_force_is_shown_under_the_names_of_the_file(tmp_path):
    settings = loaded(tmp_path, '[[routes]]\ntry = ["openai"]\n')
    (shown,) = settings.model_dump(mode="json", by_alias=True)["routes"]
    assert shown["try"] == ["openai"]

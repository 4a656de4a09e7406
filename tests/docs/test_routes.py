"""The page of routes: every example can be loaded, and its table lists every variable."""

import pytest

from config.loading import load_settings
from routing.routes import ROUTE_VARIABLES, RouteRules
from tests.docs.snippets import PAGES, Snippet, snippets_of

EXAMPLES = [snippet for snippet in snippets_of("routes.md") if snippet.language == "toml"]
UPSTREAMS = '[upstreams.azure]\nbase_url = "https://azure.test/openai/v1"\n[upstreams.groq]\n'


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_every_example_can_be_loaded(example: Snippet, tmp_path) -> None:
    path = tmp_path / "faregate.toml"
    path.write_text(UPSTREAMS + example.text)
    routes = load_settings(path, {}, {}).settings.route_values()
    assert len(routes) == example.text.count("[[routes]]") > 0
    assert len(RouteRules(routes).routes) == len(routes)


def test_every_variable_is_listed_with_its_type_and_meaning() -> None:
    rows = "\n".join(f"| `{name}` | {variable.type} | {variable.meaning} |" for name, variable in ROUTE_VARIABLES.items())
    assert rows in (PAGES / "routes.md").read_text("utf-8")

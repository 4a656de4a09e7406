"""Pages say what is so: generated ones are current, links lead somewhere, commands exist."""

import importlib
import re

import pytest

from domain.errors import GatewayError
from tests.house.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changelog.d/*.md")])
KINDS = {"added", "changed", "fixed", "removed", "security"}
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_the_generated_pages_are_current():
    generate = importlib.import_module("docs._generate")
    assert [path.name for path in generate.stale()] == []


def test_a_page_that_is_not_current_is_noticed(tmp_path):
    generate = importlib.import_module("docs._generate")
    (tmp_path / "errors.md").write_text("# Errors of last year\n")
    assert {path.name for path in generate.stale(tmp_path)} == {path.name for path in generate.pages(tmp_path)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page):
    targets = [target for target in _LINK.findall(page.read_text("utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_setting_says_what_it_means():
    settings = importlib.import_module("docs._settings")
    silent = [
        f"{table.heading} {name}"
        for table in settings.tables(settings.Settings)
        for name, field in settings.fields(table)
        if not (field.description or "").strip()
    ]
    assert silent == []


def test_every_error_has_a_row():
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    assert GatewayError.__subclasses__()
    for kind in GatewayError.__subclasses__():
        assert f"| {kind.status} | `{kind.type}` | `{kind.code}` |" in page


def test_each_command_that_the_pages_name_exists():
    """Every `faregate WORD` in code, in any page, is a command of the command line."""
    command_line = importlib.import_module("gateway.__main__").command_line
    known = set(command_line.list_commands(None))
    for page in PAGES:
        if page.parent.name != "changelog.d":
            text = page.read_text("utf-8")
            named = set(re.findall(r"(?:`|bin/|^|\(|\$ )faregate ([a-z]+)", text, re.MULTILINE))
            assert named <= known, page


def test_each_make_target_that_the_pages_name_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^ {4}|`)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE))
        assert named <= targets, page


def test_each_fragment_of_the_changelog_has_a_kind_and_says_something():
    fragments = [path for path in (ROOT / "changelog.d").glob("*.md") if path.name != "README.md"]
    assert fragments
    for path in fragments:
        assert path.name.split(".")[-2] in KINDS, path
        assert path.read_text("utf-8").strip().endswith("."), path


def test_each_change_we_make_names_a_test_that_exists():
    rows = [line for line in (ROOT / "docs" / "what-we-change.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| what", "| ---"))]
    assert len(rows) > 15
    for row in rows:
        (named,) = re.findall(r"`(test_\w+\.py)::(test_\w+)` \|$", row)
        assert f"def {named[1]}(" in (ROOT / "tests" / "wire" / named[0]).read_text("utf-8"), row

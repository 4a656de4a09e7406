import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from destinations import KINDS, UnknownKind, config_class, kinds
from destinations.base import DestinationConfig
from destinations.otlp import PresetConfig
from domain.destinations import Limits
from tests.destinations.compliance import assert_complies, own_options
from tests.destinations.sink import Reply, Sink

ROOT = Path(__file__).parents[2]
HEAVY = ("httpx", "google.protobuf", "opentelemetry", "obstore", "apprise", "sqlmodel")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_where_the_table_says_and_has_a_page_and_a_test(kind):
    found = config_class(kind)
    assert found.model_fields["type"].default == kind
    assert isinstance(found.LIMITS, Limits)
    assert found.TAKES in {"spans", "events", "both"}
    page = (ROOT / "docs" / "destinations" / f"{kind}.md").read_text()
    assert f'type = "{kind}"' in page
    assert not [name for name in own_options(found) if f"`{name}`" not in page]
    assert [file for file in (ROOT / "tests" / "destinations").glob("test_*.py") if found.__name__ in file.read_text()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_explained(kind):
    found = config_class(kind)
    assert found.__doc__
    assert not [name for name, field in found.model_fields.items() if name != "type" and not field.description]


def test_the_page_of_all_names_what_all_have():
    page = (ROOT / "docs" / "destinations.md").read_text()
    assert not [name for name in DestinationConfig.model_fields if f"`{name}`" not in page]
    otlp = (ROOT / "docs" / "destinations" / "otlp.md").read_text()
    assert not [
        name for name in PresetConfig.model_fields if name not in DestinationConfig.model_fields and f"`{name}`" not in otlp
    ]


def test_every_page_is_of_a_kind():
    pages = {page.stem for page in (ROOT / "docs" / "destinations").glob("*.md")}
    assert pages <= set(KINDS)


def test_settings_of_all_kinds_are_read_without_what_sends():
    """The gate reads settings too: in a fresh process, no kind's module may import an HTTP client or protobuf."""
    program = f"""
import sys
from destinations import KINDS, config_class
import config.destinations
for kind in KINDS:
    config_class(kind)
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("langfus", "did you mean langfuse?"),
        ("Webhook", "did you mean webhook?"),
        ("zzzzzz", "there are "),
        ("", "there are "),
        ("\ud800", "there are "),
    ],
)
def test_a_kind_that_there_is_not_names_the_nearest(kind, message):
    with pytest.raises(UnknownKind, match=re.escape(message)):
        config_class(kind)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that installs a package of somebody else's, with one entry point, for this test."""

    def install(module, text, kind, value):
        (tmp_path / f"{module}.py").write_text(text)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[faregate.destinations]\n{kind} = {value}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()

    yield install
    for module in ("teletype", "broken_teletype", "odd_teletype"):
        sys.modules.pop(module, None)


async def test_a_package_adds_a_kind_as_the_page_shows_it(package, tmp_path):
    page = (ROOT / "docs" / "destinations.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    # what the page leaves out for brevity, compliance asks for
    package(
        "teletype",
        example.replace("    url: Url\n", '    url: Url = Field(description="Where it is.")\n'),
        "teletype",
        "teletype:TeletypeConfig",
    )
    text = (tmp_path / "teletype.py").read_text()
    (tmp_path / "teletype.py").write_text("from pydantic import Field\n" + text)
    own = tmp_path / "teletype.md"
    own.write_text('type = "teletype"\n`url`')
    assert "teletype" in kinds()
    with Sink(Reply(200)) as sink:
        config = config_class("teletype")(url=f"{sink.url}/line", allow_private=True)
        await assert_complies(config, sink, valid=lambda payload: payload.body.decode(), page=own)
        assert sink.last.path == "/line"
    with pytest.raises(UnknownKind, match="did you mean teletype"):
        config_class("teletipe")


def test_a_package_that_cannot_be_used_is_named(package):
    package("broken_teletype", "import nowhere_to_be_found", "broken", "broken_teletype:Config")
    with pytest.raises(UnknownKind, match="'broken' cannot be imported"):
        config_class("broken")


def test_a_package_whose_class_is_no_destination_is_refused(package):
    package("odd_teletype", "class Config: pass", "odd", "odd_teletype:Config")
    with pytest.raises(UnknownKind, match="no class of `DestinationConfig`"):
        config_class("odd")

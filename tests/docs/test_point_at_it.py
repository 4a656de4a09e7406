"""Each snippet of docs/point-at-it.md runs as it stands there, against a whole gate and its simulated provider."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.gate import ROOT, running
from tests.docs.snippets import snippets_of

RUNNABLE = [snippet for snippet in snippets_of("point-at-it.md") if snippet.language in ("sh", "python", "js")]
PATIENCE = 120
FRAMEWORKS = Path(sys.prefix) / "frameworks"


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """The environment after `eval "$(faregate env)"`, as the page has it, beside a running gate."""
    folder = tmp_path_factory.mktemp("gate")
    with running(folder):
        said = subprocess.run(
            [sys.executable, "-m", "faregate", "env", "--data", folder / "data"],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        exports = dict(re.findall(r"^export (\w+)=(\S+)$", said.stdout, re.MULTILINE))
        assert exports.keys() >= {"OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"}
        yield os.environ | exports


def test_the_page_has_a_snippet_for_everything_it_promises():
    headings = {snippet.heading for snippet in RUNNABLE}
    assert headings == {
        "curl",
        "OpenAI for Python",
        "OpenAI for Node",
        "Anthropic for Python",
        "LangChain",
        "LlamaIndex",
        "Vercel AI SDK",
    }


@pytest.mark.parametrize("snippet", RUNNABLE, ids=lambda snippet: snippet.name)
def test_a_snippet_runs_and_says_something(snippet, surroundings, tmp_path):
    command = command_for(snippet, tmp_path)
    done = subprocess.run(command, cwd=tmp_path, env=surroundings, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 3


def command_for(snippet, folder):
    """Write the snippet into `folder`, and return what runs it; skip it where its SDK is not there."""
    if snippet.language == "sh":
        return [needed_program("bash"), "-euo", "pipefail", "-c", snippet.text]
    if snippet.language == "python":
        (folder / "snippet.py").write_text(snippet.text)
        missing = [name for name in modules_of(snippet) if importlib.util.find_spec(name) is None]
        if not missing:
            return [sys.executable, "snippet.py"]
        if not all((FRAMEWORKS / name).is_dir() for name in missing):
            pytest.skip(f"{', '.join(missing)}: not installed; `make test` installs it")
        return ["env", f"PYTHONPATH={FRAMEWORKS}", sys.executable, "snippet.py"]
    node = needed_program("node")
    packages = sorted(set(re.findall(r'from "([^"]+)"', snippet.text)))
    (folder / "node_modules").symlink_to(node_modules(packages))
    (folder / "snippet.mjs").write_text(snippet.text)
    return [node, "snippet.mjs"]


def modules_of(snippet):
    """Return the top names that a snippet of Python imports."""
    return re.findall(r"^(?:from|import) (\w+)", snippet.text, re.MULTILINE)


def needed_program(name):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def node_modules(packages):
    """Return the folder that has these Node packages: where `make test` put them, or `FAREGATE_TEST_NODE_MODULES`."""
    folder = Path(os.environ.get("FAREGATE_TEST_NODE_MODULES", Path(sys.prefix) / "node" / "node_modules")).resolve()
    for package in packages:
        if not (folder / package).is_dir():
            pytest.skip(f"the Node package {package} is not installed: `make test` installs it where there is npm")
    return folder

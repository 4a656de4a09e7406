"""The command line is quick, and imports nothing that it does not use."""

import json
import resource
import subprocess
import sys

import pytest

from gateway.__main__ import COMMANDS, command_line
from tests.cli.installation import COMMAND, ROOT, faregate, surroundings

HEAVY = {"sqlmodel", "sqlalchemy", "pydantic", "httpx", "starlette", "uvicorn", "tiktoken", "alembic", "msgspec"}
IMPORTED = """
import json, sys
from gateway.__main__ import command_line
try:
    command_line(sys.argv[1:], prog_name="faregate")
except SystemExit:
    pass
print("\\n" + json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def imported(cwd, *arguments):
    run = subprocess.run(
        [sys.executable, "-P", "-c", IMPORTED, *arguments],
        cwd=cwd,
        env=surroundings(cwd),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["up", "--help"], ["completion", "bash"], []])
def test_help_imports_nothing_heavy(tmp_path, arguments):
    assert not imported(tmp_path, *arguments) & HEAVY


@pytest.mark.parametrize("command", ["run", "env", "demo", "keys", "tail", "calls", "call", "prices", "destinations"])
def test_commands_that_ask_the_gateway_do_not_import_its_store(tmp_path, command):
    assert not imported(tmp_path, command, "--help") & {"sqlmodel", "sqlalchemy", "tiktoken", "httpx", "pydantic", "alembic"}


@pytest.mark.parametrize("module", ["gateway.app", "gateway.budgets.token_counts", "gateway.office"])
def test_no_process_has_a_tokenizer_before_it_is_needed(tmp_path, module):
    """The gate never needs one: it asks the office. The office loads it with the first call that has no usage."""
    code = f"import sys, {module}; print(sorted({{'tiktoken', 'regex', 'tiktoken_ext'}} & sys.modules.keys()))"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=surroundings(tmp_path), capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["gateway.app", "gateway.budgets.token_counts"])
def test_the_gate_cannot_even_reach_a_tokenizer(tmp_path, module):
    """What counts is not imported by the gate, so no call of its can load a tokenizer."""
    code = f"import sys, {module}; print(sorted({{'pricing.tokens.counter', 'pricing.tokens.encodings'}} & sys.modules.keys()))"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=surroundings(tmp_path), capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def cpu(arguments, cwd):
    """Return the least CPU seconds of five runs."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(arguments, cwd=cwd, env=surroundings(cwd), capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_help_costs_little_more_than_starting_python_and_click(tmp_path):
    bare = cpu([sys.executable, "-P", "-c", "import click"], tmp_path)
    assert cpu([*COMMAND, "--help"], tmp_path) < min(2.0 * bare, 0.4)


def test_every_command_is_there_and_its_help_says_what_the_table_does(tmp_path):
    for name in COMMANDS:
        command = command_line.get_command(None, name)
        assert command is not None
        assert command.name == name
        assert command.help
    listed = faregate("--help", cwd=tmp_path).stdout
    assert all(f"  {name} " in listed for name in COMMANDS)


def test_a_command_that_is_none_is_wrong_usage(tmp_path):
    run = faregate("upp", cwd=tmp_path)
    assert run.returncode == 2
    assert "upp" in run.stderr


def test_what_lies_in_the_working_folder_is_not_imported(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "__init__.py").write_text("raise SystemExit('the wrong config')")
    assert faregate("config", "check", cwd=tmp_path).returncode == 0
    assert tmp_path != ROOT

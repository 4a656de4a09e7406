"""The commands that ask a running gateway, on a running gateway."""

import json
import shlex
import signal
import subprocess
import sys

import pytest

from gateway.asking.finding import data_folder
from gateway.asking.pointing import base_urls, keys_for, label_values
from gateway.commands.run import summary_of
from gateway.commands.tables import clean, table
from tests.cli.installation import COMMAND, faregate, surroundings, until

OURS = "fg-" + "key-of-the-asking-tests-0001"
PROVIDERS = "sk-" + "of-a-provider-0002"
APP = """
import http.client, json, os, sys
from urllib.parse import urlsplit
base = urlsplit(os.environ["OPENAI_BASE_URL"])
for number in range(int(sys.argv[1])):
    connection = http.client.HTTPConnection(base.hostname, base.port, timeout=20)
    body = {"model": "sim/chat", "messages": [{"role": "user", "content": "Good morning"}]}
    headers = {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
    connection.request("POST", base.path + "/chat/completions", json.dumps(body), headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    connection.close()
print(os.environ["OPENAI_BASE_URL"], os.environ["ANTHROPIC_BASE_URL"], os.environ["OPENAI_API_BASE"])
"""


def app(count):
    return [sys.executable, "-c", APP, str(count)]


def calls_where(up, where):
    run = up.run("calls", "--json", "--where", where)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture(scope="module")
def recorded(up):
    """A call that is recorded, with all its labels."""
    run = up.run("run", "--session", "mine", "--section", "agent:a/b", "--customer", "ac,me", "--tag", "team=é", "--", *app(1))
    assert run.returncode == 0, run.stderr
    return until(lambda: calls_where(up, 'session == "mine"'), "it is not recorded")[0]


def test_run_points_a_program_at_the_gate_and_sums_up_its_calls(up):
    run = up.run("run", "--", *app(3))
    assert run.returncode == 0, run.stderr
    openai, anthropic, old = run.stdout.split()
    url = up.event("ready")["url"]
    assert openai == old == f"{anthropic}/v1"
    assert anthropic.startswith(f"{url}/@session=run-")
    session = anthropic.rpartition("=")[2]
    assert run.stderr.startswith("3 calls · ")
    assert f"→ {url}/?where=session" in run.stderr
    assert len(calls_where(up, f'session == "{session}"')) == 3


def test_run_counts_every_call_of_a_program_that_ends_at_once(up):
    for count in (1, 4, 2):
        assert up.run("run", "--", *app(count)).stderr.startswith(f"{count} call")


def test_labels_of_run_are_on_the_call(recorded):
    labels = recorded["labels"]
    assert (labels["session"], labels["section"], labels["customer"]) == ("mine", "agent:a/b", "ac,me")
    assert labels["tags"] == {"team": "é"}
    assert recorded["key"] == "local"


@pytest.mark.parametrize(
    ("command", "code"),
    [(["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], 137), (["nowhere-to-be-found"], 127), (["/etc"], 126)],
)
def test_run_ends_as_its_program_does(up, command, code):
    assert up.run("run", "--", *command).returncode == code


def test_run_passes_input_output_and_signals_on(up):
    assert up.run("run", "--", "tr", "a-z", "A-Z", stdin="quiet").stdout == "QUIET"
    script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [*COMMAND, "run", "--", "sh", "-c", script],
        cwd=up.folder,
        env=surroundings(up.folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20) == ("told\n", None)
    assert process.returncode == 5


@pytest.mark.parametrize("shell", ["sh", "fish", "powershell"])
def test_env_prints_what_a_shell_reads(up, shell):
    lines = up.run("env", "--shell", shell).stdout.splitlines()
    start = {"sh": "export OPENAI_BASE_URL=", "fish": "set -gx OPENAI_BASE_URL ", "powershell": "$env:OPENAI_BASE_URL = "}[shell]
    assert lines[0].startswith(start)
    assert up.event("ready")["url"] in lines[0]
    assert len(lines) == 5


def test_env_works_in_a_shell(up):
    command = f'eval "$({shlex.join([*COMMAND, "env"])})"; echo "$OPENAI_BASE_URL $OPENAI_API_KEY"'
    run = subprocess.run(
        ["sh", "-c", command], cwd=up.folder, env=surroundings(up.folder), capture_output=True, text=True, check=True
    )
    ready = up.event("ready")
    assert run.stdout.split() == [ready["proxy"], ready["key"]]


def test_a_providers_key_in_the_shell_stays(up):
    assert "OPENAI_API_KEY" not in up.run("env", OPENAI_API_KEY=PROVIDERS).stdout
    assert keys_for({"OPENAI_API_KEY": PROVIDERS}, OURS) == {"ANTHROPIC_API_KEY": OURS}
    assert keys_for({"ANTHROPIC_AUTH_TOKEN": "x"}, OURS) == {"OPENAI_API_KEY": OURS}
    assert keys_for({}, None) == {}


def test_labels_in_a_url_are_encoded():
    values = base_urls("http://h:1", label_values("a b", "x/y", "c,d=e", {"team": "é"}))
    assert values["ANTHROPIC_BASE_URL"] == "http://h:1/@session=a%20b,section=x%2Fy,customer=c%2Cd%3De,tag.team=%C3%A9"
    assert base_urls("http://h:1", {})["OPENAI_BASE_URL"] == "http://h:1/v1"


def test_calls_lists_and_call_shows(up, recorded):
    assert recorded["id"] in up.run("calls", "--last", "1h", "--limit", "500").stdout
    shown = up.run("call", recorded["id"]).stdout
    assert recorded["id"] in shown
    assert "session=mine" in shown
    assert json.loads(up.run("call", recorded["id"], "--json").stdout)["id"] == recorded["id"]


def test_messages_and_raw_bytes_of_a_call(up, recorded):
    assert up.run("call", recorded["id"], "--messages").stdout.startswith("── user\nGood morning\n── assistant\n")
    raw = up.run("call", recorded["id"], "--raw").stdout
    request, _, response = raw.partition("\n\n")
    assert json.loads(request)["messages"][0]["content"] == "Good morning"
    assert json.loads(response)["choices"]


def test_the_curl_of_a_call_repeats_it(up, recorded):
    command = up.run("call", recorded["id"], "--curl").stdout
    ready = up.event("ready")
    assert ready["key"] not in command
    words = shlex.split(command)
    assert words[0] == "curl"
    assert words[1].startswith(ready["url"])
    again = subprocess.run(
        ["sh", "-c", command.replace("curl ", "curl -s ", 1)],
        env=surroundings(up.folder, OPENAI_API_KEY=ready["key"]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(again.stdout)["choices"]


def test_a_key_is_made_used_rotated_and_revoked(up):
    made = up.run("keys", "create", "ci", "--models", "chat*", "--tag", "team=search", "--expires", "30d", "-q")
    secret = made.stdout.strip()
    assert secret.startswith("fg-")
    assert up.run("run", "--session", "by-ci", "--", *app(1), OPENAI_API_KEY=secret).returncode == 0
    assert until(lambda: calls_where(up, 'session == "by-ci"'), "it is not recorded")[0]["key"] == "ci"
    shown = up.run("keys", "show", "ci").stdout
    assert secret not in shown
    assert "team=search" in shown
    rotated = up.run("keys", "rotate", "ci", "--grace", "0s", "-q").stdout.strip()
    assert rotated not in {"", secret}
    assert "ci" in up.run("keys", "list").stdout
    assert json.loads(up.run("keys", "revoke", "ci", "--json").stdout)["revoked_at"]
    until(lambda: up.run("run", "--", *app(1), OPENAI_API_KEY=rotated).returncode == 1, "a revoked key still works")


def test_a_key_with_a_budget_and_limits(up):
    options = ["--budget", "20/month", "--rpm", "60", "--tpm", "90000", "--parallel", "4"]
    made = json.loads(up.run("keys", "create", "limited", *options, "--json").stdout)
    assert (made["rpm"], made["tpm"], made["parallel"]) == (60, 90_000, 4)
    assert "rpm 60, tpm 90000, parallel 4" in up.run("keys", "show", "limited").stdout
    assert "key:limited" in up.run("budgets", "list").stdout
    wrong = up.run("keys", "create", "other", "--budget", "20/moth")
    assert wrong.returncode == 1
    assert "did you mean 'month'?" in wrong.stderr


@pytest.mark.parametrize("option", [["--rpm", "0"], ["--tpm", "many"], ["--parallel", "-1"]])
def test_a_limit_that_is_none_is_wrong_usage(tmp_path, option):
    run = faregate("keys", "create", "ci", *option, cwd=tmp_path)
    assert run.returncode == 2
    assert option[0] in run.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["calls", "--where", "status >"], ""),
        (["call", "nope"], "no call with this id"),
        (["keys", "show", "nobody"], "no key of this name"),
        (["keys", "revoke", "local"], "faregate up"),
    ],
)
def test_what_the_gateway_refuses_is_told_in_its_words(up, arguments, said):
    run = up.run(*arguments)
    assert run.returncode == 1
    assert said in run.stderr
    assert run.stderr.startswith("faregate: ")
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "arguments", [["calls", "--last", "x"], ["keys", "rotate", "a", "--grace", "x"], ["run"], ["call"], ["env", "--shell", "tcl"]]
)
def test_wrong_usage_has_a_code_of_its_own(tmp_path, arguments):
    assert faregate(*arguments, cwd=tmp_path).returncode == 2


def test_without_a_gateway_the_commands_say_how_to_start_one(tmp_path):
    run = faregate("calls", cwd=tmp_path)
    assert run.returncode == 1
    assert "faregate up" in run.stderr
    away = faregate("calls", "--url", "http://127.0.0.1:9", cwd=tmp_path, FAREGATE_ADMIN_TOKEN="x" * 20)
    assert away.returncode == 1
    assert "Nothing answers at http://127.0.0.1:9" in away.stderr
    assert "FAREGATE_ADMIN_TOKEN" in faregate("calls", "--url", "http://127.0.0.1:9", cwd=tmp_path).stderr


def test_a_gateway_elsewhere_is_reached_by_its_address(up, tmp_path):
    token = json.loads((up.folder / "faregate-data" / "local.json").read_text())["admin_token"]
    url = up.event("ready")["url"]
    run = faregate("keys", "list", "--json", cwd=tmp_path, FAREGATE_URL=url, FAREGATE_ADMIN_TOKEN=token)
    assert "local" in {key["name"] for key in json.loads(run.stdout)}
    wrong = faregate("keys", "list", cwd=tmp_path, FAREGATE_URL=url, FAREGATE_ADMIN_TOKEN="wrong" * 5)
    assert wrong.returncode == 1
    assert "admin token" in wrong.stderr


def test_the_data_folder_is_found_as_the_settings_have_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(data_folder(None, {})) == "faregate-data"
    (tmp_path / "faregate.toml").write_text('[storage]\ndata = "elsewhere"\n')
    assert str(data_folder(None, {})) == "elsewhere"
    assert str(data_folder(None, {"FAREGATE_STORAGE__DATA": "/named"})) == "/named"
    assert data_folder(tmp_path, {"FAREGATE_STORAGE__DATA": "/named"}) == tmp_path


def test_the_demo_shows_what_can_happen_to_a_team_of_agents(up):
    run = up.run("demo", timeout=90)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    session = lines[-1].rpartition('"')[0].rpartition('"')[2]
    count = int(lines[-2].split()[0])
    found = until(lambda: len(calls := calls_where(up, f'session == "{session}"')) == count and calls, "not all are recorded")
    assert {call["labels"]["env"] for call in found} == {"demo"}
    statuses = [call["status"] for call in reversed(found)]
    assert statuses.count(429) >= 1
    assert statuses[statuses.index(429) + 1] == 200
    assert 500 in statuses
    assert sum(call["stream"] for call in found) >= 3
    assert sum(len(call["tool_calls"]) for call in found) >= 5


def test_a_history_is_made_and_cleared_and_other_calls_stay(up, recorded):
    made = up.run("demo", "--history", "2h")
    assert made.returncode == 0, made.stderr
    count = int(made.stdout.split()[0].replace(",", ""))
    assert 3_500 < count < 6_500
    assert "faregate demo --clear" in made.stdout
    again = json.loads(up.run("demo", "--history", "2h", "--json").stdout)
    assert again["new"] < again["made"] / 4
    assert len(calls_where(up, 'env == "demo"')) == 20
    cleared = json.loads(up.run("demo", "--clear", "--json").stdout)
    assert cleared["erased"] >= count + again["new"]
    assert calls_where(up, 'env == "demo"') == []
    assert up.run("call", recorded["id"]).returncode == 0
    assert "0 sample calls" in up.run("demo", "--clear").stdout


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--history", "30d", "--clear"], 2), (["--history", "soon"], 1), (["--history", "5m"], 1)]
)
def test_a_history_of_no_length_is_refused(up, arguments, code):
    run = up.run("demo", *arguments)
    assert run.returncode == code
    assert run.stderr.startswith("faregate: ")


def test_sums_do_not_take_the_unknown_for_free():
    def call(cost, status, outcome="ok"):
        return {"usage": {"input_tokens": 1000, "output_tokens": 1}, "cost_usd": cost, "cost_status": status, "outcome": outcome}

    assert summary_of([call(None, "unknown")]) == "1 call · 1,001 tok · cost unknown"
    assert summary_of([call("0.5", "exact"), call("0.25", "exact", "error")]) == "2 calls · 2,002 tok · $0.75 · 1 error"
    assert summary_of([call("0.5", "exact"), call(None, "unknown")]) == "2 calls · 2,002 tok · $0.5 and 1 unknown"


def test_nothing_recorded_can_write_to_the_terminal():
    assert clean("a\x1b[2Jb\nc\x9b") == "a�[2Jb�c�"
    assert "\x1b" not in table(("a",), [["\x1b]0;title\x07"]])

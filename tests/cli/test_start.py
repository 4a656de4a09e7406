"""`faregate up`: what it prints, what it refuses, and what it keeps running."""

import http.client
import json
import os
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from domain.keys import ApiKey, digest
from storage.folder import DataFolder
from storage.keyring import save_keys
from tests.cli.installation import COMMAND, faregate, surroundings, until

OURS = "fg-" + "key-of-the-start-tests-00001"
CHAT = {"model": "sim/chat", "messages": [{"role": "user", "content": "Good morning"}]}


def chat(url, key, **headers):
    address = url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=20)
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", **headers}
    connection.request("POST", "/v1/chat/completions", json.dumps(CHAT), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_the_first_call_works_once_it_says_ready(up):
    ready = up.event("ready")
    assert chat(ready["url"], ready["key"]) == 200
    assert ready["proxy"] == f"{ready['url']}/v1"
    assert {one["name"] for one in ready["upstreams"]} == {"sim"}


def test_the_link_signs_in_once(up):
    link = up.event("dashboard")
    assert link["one_time"]
    assert link["dashboard"].startswith(f"{up.event('ready')['url']}/?signin=")


def test_only_the_owner_can_read_what_lets_in(up):
    data = up.folder / "faregate-data"
    assert (data / "local.json").stat().st_mode & 0o777 == 0o600
    assert data.stat().st_mode & 0o777 == 0o700
    local = DataFolder(data).local()
    assert (local.url, local.key, local.pid) == (up.event("ready")["url"], up.event("ready")["key"], up.process.pid)


def test_the_supervisor_stays_small(up):
    status = Path(f"/proc/{up.process.pid}/status").read_text()
    rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    assert rss <= 25 * 1024


def test_another_one_on_the_same_folder_is_refused_with_advice(up):
    run = up.run("up", "--port", "0")
    assert run.returncode == 1
    assert f"process {up.process.pid}" in run.stderr
    assert "--data DIR" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_port_in_use_is_named_and_another_offered(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = faregate("up", "--port", str(port), cwd=tmp_path)
    assert run.returncode == 1
    assert run.stderr.splitlines()[0] == f"faregate: Port {port} on 127.0.0.1 is in use by another program."
    assert f"--port {port + 1}" in run.stderr


def test_our_own_gateway_on_the_port_is_named(tmp_path, up):
    port = up.event("ready")["url"].rpartition(":")[2]
    run = faregate("up", "--port", port, cwd=tmp_path)
    assert run.returncode == 1
    assert "in use by another Faregate" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        ([], {"FAREGATE_SERVER__PRT": "1"}, "did you mean server.port?"),
        (["--config", "nowhere.toml"], {}, "nowhere.toml: it cannot be read"),
        (["--host", "0.0.0.0"], {}, "there is no key yet"),
        (["--host", "192.0.2.1"], {"FAREGATE_KEYS__APP__SECRET": OURS}, "192.0.2.1 is not an address of this machine"),
        (["--data", "/proc/nowhere"], {}, "The data folder /proc/nowhere cannot be used"),
        ([], {"FAREGATE_STORAGE__DATABASE_URL": "mysql://h/n"}, "storage.database_url: write"),
    ],
)
def test_what_cannot_start_says_why_in_few_lines(tmp_path, arguments, environ, said):
    run = faregate("up", "--port", "0", *arguments, cwd=tmp_path, **environ)
    assert run.returncode == 1
    assert said in run.stderr
    assert run.stderr.startswith("faregate: ")
    assert len(run.stderr.splitlines()) <= 3
    assert run.stdout == ""


def test_the_gate_alone_refuses_the_same(tmp_path):
    run = faregate("gate", "--port", "0", "--host", "0.0.0.0", cwd=tmp_path)
    assert run.returncode == 1
    assert "there is no key yet" in run.stderr


@pytest.mark.parametrize(
    ("key", "starts"),
    [
        (ApiKey("k", "ci", digest(OURS)), True),
        (ApiKey("k", "ci", digest(OURS), revoked_at=1.0), False),
        (ApiKey("k", "local", digest(OURS), origin="local"), False),
    ],
)
def test_a_public_address_needs_a_key_that_somebody_made(begin, tmp_path, key, starts):
    (tmp_path / "faregate-data").mkdir(mode=0o700)
    save_keys(tmp_path / "faregate-data" / "keys.json", [key])
    running = begin("--host", "0.0.0.0")
    if starts:
        assert running.event("ready")["url"].startswith("http://127.0.0.1:")
    else:
        assert running.process.wait(20) == 1
    running.stop()


def test_a_store_that_is_away_is_warned_of_and_calls_are_served(begin, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    running = begin(FAREGATE_STORAGE__DATABASE_URL=f"postgresql://u:hidden@127.0.0.1:{port}/n")
    ready = running.event("ready")
    assert chat(ready["url"], ready["key"]) == 200
    assert running.stop() == 0
    said = "".join(running.complained)
    assert f"The store at 127.0.0.1:{port} cannot be reached" in said
    assert "hidden" not in said


def test_key_and_token_outlive_a_restart(begin, tmp_path):
    def start():
        running = begin()
        running.event("ready")
        assert running.stop() == 0
        return DataFolder(tmp_path / "faregate-data").local()

    first, second = start(), start()
    assert (first.key, first.admin_token) == (second.key, second.admin_token)
    assert first.pid != second.pid


def test_what_is_killed_comes_back_and_callers_only_wait(begin, tmp_path):
    running = begin()
    ready = running.event("ready")
    running.event("dashboard")
    (gate,), (office,) = running.children("gate"), running.children("office")
    os.kill(gate, signal.SIGKILL)
    # The listening socket is the supervisor's: a call that comes while there is no gate waits for the next one.
    assert chat(ready["url"], ready["key"]) == 200
    assert running.children("gate") != [gate]
    os.kill(office, signal.SIGKILL)
    until(lambda: running.children("office") not in ([], [office]), "the office does not come back")
    until(lambda: len(running.run("calls", "--json").stdout.splitlines()) == 1, "the call is not recorded")
    assert running.stop() == 0


def test_a_call_made_just_before_the_stop_is_recorded_by_then(begin, tmp_path):
    running = begin()
    ready = running.event("ready")
    running.event("dashboard")
    assert chat(ready["url"], ready["key"]) == 200
    assert running.stop() == 0
    with closing(sqlite3.connect(tmp_path / "faregate-data" / "faregate.db")) as store:
        assert store.execute("SELECT count(*) FROM calls").fetchone() == (1,)


def test_no_process_is_left_when_the_supervisor_is_killed(begin, tmp_path):
    running = begin()
    port = running.event("ready")["url"].rpartition(":")[2]
    running.event("dashboard")
    children = running.children("gate") + running.children("office")
    assert len(children) == 2
    running.process.kill()
    until(
        lambda: (
            not any(Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
        ),
        "orphans live on",
    )
    running.stop()
    again = begin(port=port)
    again.event("ready")
    assert again.stop() == 0


def test_settings_are_read_again_and_bad_ones_are_not_taken(begin, tmp_path):
    file = tmp_path / "faregate.toml"
    file.write_text("")
    running = begin()
    url = running.event("ready")["url"]
    running.event("dashboard")
    file.write_text("[server]\nprot = 1\n")
    running.process.send_signal(signal.SIGHUP)
    until(lambda: any("server.prot" in line for line in running.complained), "it does not complain")
    assert chat(url, OURS) == 401
    file.write_text(f'[keys.new]\nsecret = "{OURS}"\n')
    running.process.send_signal(signal.SIGHUP)
    until(lambda: chat(url, OURS) == 200, "the new key is not taken")
    assert running.stop() == 0


def test_several_gates_without_an_office_take_no_bad_settings_either(begin, tmp_path):
    file = tmp_path / "faregate.toml"
    file.write_text("")
    running = begin("--workers", "2", command="gate")
    local = until(lambda: DataFolder(tmp_path / "faregate-data").local(), "it does not say where it is")
    until(lambda: chat(local.url, local.key) == 200, "it does not serve")
    gates = running.children("gate")
    file.write_text("[server]\nprot = 1\n")
    running.process.send_signal(signal.SIGHUP)
    until(lambda: any("server.prot" in line for line in running.complained), "it does not complain")
    assert any("the old ones stay" in line for line in running.complained)
    assert chat(local.url, OURS) == 401
    file.write_text(f'[keys.new]\nsecret = "{OURS}"\n')
    running.process.send_signal(signal.SIGHUP)
    until(lambda: {chat(local.url, OURS) for _ in range(4)} == {200}, "the new key is not taken")
    assert running.children("gate") == gates
    assert running.stop() == 0


def test_people_see_at_most_sixteen_lines(tmp_path):
    import subprocess  # noqa: PLC0415 - used here alone

    process = subprocess.Popen(
        [*COMMAND, "up", "--port", "0"],
        cwd=tmp_path,
        env=surroundings(tmp_path, OPENAI_API_KEY="sk-" + "of-a-provider"),
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = []
    end = time.monotonic() + 40
    while not any("Dashboard" in line for line in lines):
        assert time.monotonic() < end
        lines.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait(20) == 0
    process.stdout.close()
    text = "".join(lines) + rest
    assert len(text.splitlines()) <= 16
    assert "\x1b" not in text
    assert "export OPENAI_BASE_URL=http://127.0.0.1:" in text
    assert "openai (OPENAI_API_KEY found) · sim (built in)" in text
    assert "of-a-provider" not in text


def test_several_workers_share_the_port(begin, tmp_path):
    running = begin("--workers", "2")
    ready = running.event("ready")
    assert len(running.children("gate")) == 2
    assert chat(ready["url"], ready["key"]) == 200
    assert running.stop() == 0


def test_the_gate_alone_serves_and_can_be_found(begin, tmp_path):
    running = begin(command="gate")
    local = until(lambda: DataFolder(tmp_path / "faregate-data").local(), "it does not say where it is")
    assert chat(local.url, local.key) == 200
    assert running.stop() == 0
    assert any(local.url in line for line in running.complained)

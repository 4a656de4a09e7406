"""`faregate tail`, on a running gateway."""

import http.client
import json
import os
import signal
import subprocess
import threading
from urllib.parse import urlsplit

import pytest

from tests.cli.installation import COMMAND, faregate, surroundings, until


class Tail:
    """A running `faregate tail --json`, and what it printed."""

    def __init__(self, folder, *arguments):
        self.process = subprocess.Popen(
            [*COMMAND, "tail", "--json", *arguments],
            cwd=folder,
            env=surroundings(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines, self.complained = [], []
        self._readers = [
            threading.Thread(target=into.extend, args=(stream,), daemon=True)
            for into, stream in ((self.lines, self.process.stdout), (self.complained, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def calls(self):
        return [json.loads(line) for line in self.lines]

    def end(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        for reader in self._readers:
            reader.join(5)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def say(ready, session, text="Good morning"):
    """Make one call."""
    place = urlsplit(ready["url"])
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=20)
    body = json.dumps({"model": "sim/chat", "messages": [{"role": "user", "content": text}]})
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {ready['key']}",
        "x-faregate-session": session,
    }
    connection.request("POST", "/v1/chat/completions", body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 200
    return answer.headers["x-faregate-call"]


@pytest.fixture
def tailing(up):
    """A tail that shows what happens: calls of its own were made until one came by."""
    running = []

    def start(folder, ready, *arguments):
        tail = Tail(folder, *arguments)
        running.append(tail)

        def shows():
            say(ready, "wanted", "Are you there?")
            return tail.calls

        until(shows, f"it shows nothing: {tail.complained}")
        return tail

    yield start
    for tail in running:
        if tail.process.poll() is None:
            tail.process.kill()
            tail.process.wait(10)


def test_it_shows_each_call_once_as_it_ends_and_ctrl_c_ends_it_well(up, tailing):
    ready = up.event("ready")
    tail = tailing(up.folder, ready, "--where", 'session == "wanted"')
    made = [say(ready, "wanted"), say(ready, "unwanted"), say(ready, "wanted")]
    until(lambda: made[2] in [call["id"] for call in tail.calls], "the last call does not come")
    assert tail.end() == 0
    ids = [call["id"] for call in tail.calls]
    assert len(set(ids)) == len(ids)
    assert made[0] in ids
    assert made[1] not in ids
    assert tail.complained == []


def test_it_goes_on_when_the_office_is_killed_and_shows_what_was_recorded_meanwhile(begin, tmp_path, tailing):
    running = begin()
    ready = running.event("ready")
    running.event("dashboard")
    tail = tailing(tmp_path, ready)
    (office,) = running.children("office")
    os.kill(office, signal.SIGKILL)
    made = [say(ready, "wanted") for _ in range(5)]
    until(lambda: set(made) <= {call["id"] for call in tail.calls}, f"calls are missing: {tail.complained}")
    after = say(ready, "wanted")
    until(lambda: after in [call["id"] for call in tail.calls], "a later call does not come")
    ids = [call["id"] for call in tail.calls]
    assert len(set(ids)) == len(ids)
    assert any("broke off" in line for line in tail.complained)
    assert tail.end() == 0


def test_it_goes_on_when_everything_is_started_again(begin, tmp_path, tailing):
    running = begin()
    ready = running.event("ready")
    running.event("dashboard")
    tail = tailing(tmp_path, ready)
    assert running.stop() == 0
    again = begin(port=ready["url"].rpartition(":")[2])
    again.event("dashboard")
    made = say(again.event("ready"), "wanted")
    until(lambda: made in [call["id"] for call in tail.calls], f"it does not go on: {tail.complained}")
    assert tail.end() == 0


def test_a_wrong_condition_or_no_gateway_end_it_at_once(up, tmp_path):
    wrong = up.run("tail", "--where", "status >")
    assert wrong.returncode == 1
    away = faregate("tail", "--url", "http://127.0.0.1:9", cwd=tmp_path, FAREGATE_ADMIN_TOKEN="x" * 20)
    assert away.returncode == 1
    assert "Nothing answers at http://127.0.0.1:9" in away.stderr


def test_for_people_it_has_columns(up):
    process = subprocess.Popen(
        [*COMMAND, "tail"], cwd=up.folder, env=surroundings(up.folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr.readline().split()[:3] == ["time", "status", "model"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 0

"""The supervisor with tiny programs in the place of gate and office."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gateway.running.supervisor import FIRST_PAUSE, LONGEST_PAUSE, Child, Program

ROOT = Path(__file__).resolve().parents[2]
# Runs the supervisor in a process of its own, since it takes the signals of the whole process.
RUNNER = """
import os, sys
from gateway.running.supervisor import Program, Signals, Supervisor, open_lifeline
from tests.gateway.test_supervisor import programs
lifeline, kept = open_lifeline()
folder = sys.argv[2]
reload = (lambda: not os.path.exists(os.path.join(folder, "bad"))) if len(sys.argv) > 3 else None
with Signals() as signals:
    code = Supervisor(programs(sys.argv[1], folder, lifeline), lambda text: print(text, flush=True), reload).run(signals)
sys.exit(code)
"""
# Writes its process id and what happens to it into a file of its own.
STEADY = """
import os, signal, sys, time
from gateway.running.lifeline import stop_with_supervisor
name, folder, lifeline, slow = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
def note(text):
    with open(os.path.join(folder, name), "a") as file:
        file.write(f"{text} {os.getpid()} {time.monotonic()}\\n")
def stop(number, frame):
    note("stops")
    time.sleep(slow)
    note("stopped")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGHUP, lambda number, frame: note("reloads"))
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
stop_with_supervisor(lifeline)
note("started")
while True:
    signal.pause()
"""


def steady(name, folder, lifeline, *, slow=0.0, **more):
    arguments = [sys.executable, "-c", STEADY, name, folder, str(lifeline), str(slow)]
    return Program(name, arguments, fds=(lifeline,), environment={**os.environ, "PYTHONPATH": str(ROOT)}, **more)


def programs(kind, folder, lifeline):
    """Return the programs of one of the tests below."""
    done = Path(folder, "done")
    table = {
        "two": [
            steady("gate", folder, lifeline, stage=0, reloads=True),
            steady("office", folder, lifeline, stage=1),
        ],
        "ordered": [
            steady("office", folder, lifeline, stage=1, done=done.exists, done_patience=20),
            steady("gate", folder, lifeline, stage=0, slow=0.3),
        ],
        "stubborn": [steady("gate", folder, lifeline, stage=0, slow=60, patience=60)],
        "impatient": [steady("gate", folder, lifeline, stage=0, slow=60, patience=0.3)],
        "crashing": [
            Program("gate", [sys.executable, "-S", "-c", "raise SystemExit(7)"], fds=()),
            steady("office", folder, lifeline, stage=1),
        ],
    }
    return table[kind]


class Running:
    """A supervisor in a process of its own, and what it and its children say."""

    def __init__(self, kind, folder, *, reloads=False):
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, kind, str(folder), *(["reloads"] if reloads else [])],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def notes(self, name, word):
        """Return the process ids and times that a child noted with `word`."""
        path = self.folder / name
        found = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(int(line[1]), float(line[2])) for line in found if len(line) == 3 and line[0] == word]

    def until(self, holds, what, seconds=20.0):
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"{what}: {self.lines}"
            time.sleep(0.01)

    def started(self, name, times=1):
        self.until(lambda: len(self.notes(name, "started")) >= times, f"{name} does not start {times} times")
        return self.notes(name, "started")[-1][0]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.reader.join(5)
        self.process.stdout.close()


@pytest.fixture
def run(tmp_path):
    running = []

    def start(kind, **more):
        running.append(Running(kind, tmp_path, **more))
        return running[-1]

    yield start
    for one in running:
        one.end()


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_is_killed_is_started_again(run):
    supervisor = run("two")
    office, gate = supervisor.started("office"), supervisor.started("gate")
    os.kill(gate, signal.SIGKILL)
    assert supervisor.started("gate", 2) != gate
    assert is_alive(office)
    supervisor.until(lambda: any("The gate ended (SIGKILL)" in line for line in supervisor.lines), "it does not say so")


def test_it_stops_in_order_and_waits_for_what_must_be_done(run, tmp_path):
    supervisor = run("ordered")
    supervisor.started("office")
    supervisor.started("gate")
    supervisor.process.send_signal(signal.SIGTERM)
    supervisor.until(lambda: supervisor.notes("gate", "stopped"), "the gate does not stop")
    assert not supervisor.notes("office", "stopped")
    assert supervisor.process.poll() is None
    (tmp_path / "done").touch()
    assert supervisor.process.wait(10) == 0
    assert supervisor.notes("gate", "stopped")[0][1] < supervisor.notes("office", "stopped")[0][1]


def test_a_second_interrupt_stops_at_once(run):
    supervisor = run("stubborn")
    gate = supervisor.started("gate")
    supervisor.process.send_signal(signal.SIGINT)
    supervisor.until(lambda: supervisor.notes("gate", "stops"), "the gate is not told")
    supervisor.process.send_signal(signal.SIGINT)
    assert supervisor.process.wait(10) == 1
    assert not is_alive(gate)


def test_what_does_not_stop_in_time_is_killed(run):
    supervisor = run("impatient")
    gate = supervisor.started("gate")
    supervisor.process.send_signal(signal.SIGTERM)
    supervisor.process.wait(10)
    assert not is_alive(gate)


def test_no_child_outlives_a_supervisor_that_is_killed(run):
    supervisor = run("two")
    children = [supervisor.started("gate"), supervisor.started("office")]
    supervisor.process.kill()
    supervisor.until(lambda: not any(is_alive(child) for child in children), "orphans live on")
    assert supervisor.notes("gate", "stopped")
    assert supervisor.notes("office", "stopped")


def test_a_crash_loop_is_said_once_and_hinders_nothing_else(run):
    supervisor = run("crashing")
    office = supervisor.started("office")
    supervisor.until(lambda: any("keeps ending (exit code 7)" in line for line in supervisor.lines), "it says nothing")
    assert is_alive(office)
    assert sum("ended (exit code 7)" in line for line in supervisor.lines) == 1
    assert sum("keeps ending" in line for line in supervisor.lines) == 1


def test_the_pause_between_crashes_doubles_up_to_a_bound():
    child = Child(Program("gate", [sys.executable, "-S", "-c", ""]))
    pauses, now = [], 100.0
    for _ in range(9):
        child.start(now)
        child.process.wait(10)
        assert child.ended(now) == 0
        pauses.append(round(child.next_start - now, 3))
        now = child.next_start
    assert pauses[:4] == [FIRST_PAUSE, 0.2, 0.4, 0.8]
    assert pauses[-1] == LONGEST_PAUSE
    child.start(now)
    child.process.wait(10)
    assert child.ended(now + 60.0) == 0
    assert child.deaths == 1
    assert round(child.next_start - now - 60.0, 3) == FIRST_PAUSE


def test_reloading_tells_the_gate_and_starts_the_office_anew(run):
    supervisor = run("two", reloads=True)
    gate, office = supervisor.started("gate"), supervisor.started("office")
    supervisor.process.send_signal(signal.SIGHUP)
    assert supervisor.started("office", 2) != office
    supervisor.until(lambda: supervisor.notes("gate", "reloads"), "the gate hears nothing")
    assert is_alive(gate)
    assert supervisor.lines == []


def test_a_gate_that_is_only_starting_is_not_ended_by_being_told_to_reload(tmp_path):
    reader, writer = os.pipe()
    child = Child(steady("gate", str(tmp_path), reader, reloads=True))
    child.start(time.monotonic())
    child.send(signal.SIGHUP)
    notes = tmp_path / "gate"
    end = time.monotonic() + 20
    while not (notes.exists() and "reloads" in notes.read_text()):
        assert child.process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    child.process.kill()
    child.process.wait(10)
    os.close(reader)
    os.close(writer)


def test_bad_settings_are_told_to_nobody(run, tmp_path):
    (tmp_path / "bad").touch()
    supervisor = run("two", reloads=True)
    gate, office = supervisor.started("gate"), supervisor.started("office")
    supervisor.process.send_signal(signal.SIGHUP)
    os.kill(gate, signal.SIGKILL)
    # Once the gate is back, the SIGHUP that came before has been dealt with.
    supervisor.started("gate", 2)
    assert is_alive(office)
    assert not supervisor.notes("gate", "reloads")

"""Metrics: valid for Prometheus, summed over the workers."""

import json
import os
import re
import subprocess
import sys

import pytest

from gateway.metrics import HELP, SharedCounters, exposition, family_of

CALLS = "faregate_calls_total"
RUNNING = "faregate_calls_running"
OK = (("ending", "complete"), ("status", "2xx"))
LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9.e+]+)')


def read(text: str) -> dict[str, float]:
    """Read an exposition as strictly as Prometheus does."""
    found: dict[str, float] = {}
    typed: set[str] = set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in {"counter", "gauge", "histogram"}
            assert name not in typed, "a family is described once"
            typed.add(name)
        elif not line.startswith("# HELP "):
            match = LINE.fullmatch(line)
            assert match is not None, line
            assert family_of(match[1]) in typed, "a sample stands behind its type"
            key = f"{match[1]}{{{match[2]}}}" if match[2] else match[1]
            assert key not in found, "a sample is there once"
            found[key] = float(match[3])
    return found


@pytest.mark.parametrize("name", HELP)
def test_names_say_what_they_count(name):
    kind, text = HELP[name]

    assert name.startswith("faregate_")
    assert name.endswith("_total") == (kind == "counter")
    assert text.endswith(".")
    assert "\n" not in text


def test_an_exposition_is_valid_whatever_the_labels_hold():
    odd = (("ending", 'a"b\\c\nd'), ("status", "2xx"))

    text = exposition({(CALLS, OK): 3, (CALLS, odd): 1, (RUNNING, ()): 2, (RUNNING.replace("running", "unheard"), ()): 9})

    assert read(text) == {
        f'{CALLS}{{ending="complete",status="2xx"}}': 3,
        f'{CALLS}{{ending="a\\"b\\\\c\\nd",status="2xx"}}': 1,
        RUNNING: 2,
    }


def test_large_and_broken_numbers():
    found = read(exposition({("faregate_journal_written_bytes_total", ()): 2**53, (RUNNING, ()): 1.5}))

    assert found == {"faregate_journal_written_bytes_total": float(2**53), RUNNING: 1.5}


def other_worker(folder, worker: int, pid: int, samples) -> None:
    (folder / f"gate-{worker}.json").write_text(json.dumps({"pid": pid, "samples": samples}))


def test_all_workers_are_added_up(tmp_path):
    first = SharedCounters(tmp_path, 0, lambda: [(CALLS, OK, 2), (RUNNING, (), 1)])
    second = SharedCounters(tmp_path, 1, lambda: [(CALLS, OK, 3), (CALLS, (("ending", "failed"),), 1), (RUNNING, (), 4)])
    second.write()
    first.write()

    expected = {f'{CALLS}{{ending="complete",status="2xx"}}': 5, f'{CALLS}{{ending="failed"}}': 1, RUNNING: 5}
    assert read(first.text()) == expected
    assert read(second.text()) == expected


def test_a_workers_own_numbers_are_those_of_now_not_those_of_its_file(tmp_path):
    numbers = [1]
    counters = SharedCounters(tmp_path, 0, lambda: [(RUNNING, (), numbers[0])])
    counters.write()
    numbers[0] = 7

    assert read(counters.text()) == {RUNNING: 7}


def a_dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_dead_worker_keeps_what_it_counted_but_not_what_it_had_open(tmp_path):
    samples = [[CALLS, [["ending", "complete"], ["status", "2xx"]], 3], [RUNNING, [], 9], ["faregate_connections", [], 5]]
    other_worker(tmp_path, 1, a_dead_process(), samples)

    text = SharedCounters(tmp_path, 0, lambda: [(CALLS, OK, 1), (RUNNING, (), 1)]).text()

    assert read(text) == {f'{CALLS}{{ending="complete",status="2xx"}}': 4, RUNNING: 1}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"pid": null, "samples": []}',
        '{"pid": 1, "samples": 7}',
        '{"pid": 1, "samples": [["x"]]}',
        '{"pid": 1, "samples": [["x", [], "many"]]}',
        '{"pid": 1, "samples": [["x", 7, 1]]}',
    ],
)
def test_a_file_that_is_no_counters_file_is_passed_by(tmp_path, content):
    (tmp_path / "gate-5.json").write_text(content)

    assert read(SharedCounters(tmp_path, 0, lambda: [(RUNNING, (), 1)]).text()) == {RUNNING: 1}


def test_files_are_replaced_whole_and_only_when_something_changed(tmp_path):
    numbers = [1]
    counters = SharedCounters(tmp_path, 3, lambda: [(RUNNING, (), numbers[0])])
    counters.write()
    path = tmp_path / "gate-3.json"
    before = path.stat().st_ino, path.stat().st_mtime_ns
    counters.write()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before

    numbers[0] = 2
    counters.write()

    assert json.loads(path.read_text()) == {"pid": os.getpid(), "samples": [[RUNNING, [], 2]]}
    assert [each.name for each in tmp_path.iterdir()] == ["gate-3.json"]

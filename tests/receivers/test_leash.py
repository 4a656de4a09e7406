"""No server outlives whoever started it."""

import subprocess
import sys
from pathlib import Path

from tests.harness.wire import until
from tests.receivers.servers import LEASH

# Starts another process, says both ids, and waits for ever.
STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(os.getpid(), child.pid, flush=True)
child.wait()
"""


def held(program):
    return subprocess.Popen([sys.executable, LEASH, sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def runs(pid):
    """Return whether a process runs; one that has ended and waits to be asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_server_ends_with_all_that_it_started_when_the_leash_is_let_go():
    with held(STUBBORN) as leash:
        pids = [int(one) for one in leash.stdout.readline().split()]
        assert all(runs(pid) for pid in pids)
        leash.stdin.close()
        assert leash.wait(30)
    until(lambda: not any(runs(pid) for pid in pids), "the server still runs")


def test_a_server_ends_when_whoever_holds_the_leash_is_killed():
    holder = f"import subprocess, sys; subprocess.Popen([sys.executable, {str(LEASH)!r}, sys.executable, '-c', {STUBBORN!r}], stdin=subprocess.PIPE).wait()"
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE) as process:
        pids = [int(one) for one in process.stdout.readline().split()]
        process.kill()
        until(lambda: not any(runs(pid) for pid in pids), "the server still runs")


def test_a_server_that_ends_by_itself_says_how():
    with held("raise SystemExit(3)") as leash:
        assert leash.wait(30) == 3

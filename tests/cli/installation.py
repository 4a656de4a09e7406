"""The command line in processes of its own, and a whole Faregate to use it on."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-P", "-m", "gateway"]
PATIENCE = 40.0


def surroundings(home, **more):
    """Return an environment without anything of the developer's own."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def faregate(*arguments, cwd, stdin=None, timeout=PATIENCE, **environ):
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=surroundings(cwd, **environ),
        capture_output=True,
        text=True,
        timeout=timeout,
        input=stdin,
        check=False,
    )


def until(holds, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Up:
    """A running `faregate up`, in a folder of its own."""

    def __init__(self, folder, *arguments, port="0", command="up", **environ):
        self.folder = folder
        self.process = subprocess.Popen(
            [*COMMAND, command, *arguments, "--port", port, *(["--json"] if command == "up" else [])],
            cwd=folder,
            env=surroundings(folder, **environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said, self.complained = [], []
        self._readers = [
            threading.Thread(target=into.extend, args=(stream,), daemon=True)
            for into, stream in ((self.said, self.process.stdout), (self.complained, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def event(self, name):
        """Return what it said in its line of this event."""

        def found():
            assert self.process.poll() is None, self.complained
            return next((event for event in map(json.loads, self.said) if event["event"] == name), None)

        return until(found, f"no {name}: {self.complained}")

    def children(self, command):
        """Return the process ids of its children that run `command`."""
        found = []
        for child in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            try:
                arguments = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if command.encode() in arguments:
                found.append(int(child))
        return found

    def run(self, *arguments, **more):
        """Run a command that finds it by its data folder."""
        return faregate(*arguments, cwd=self.folder, **more)

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(10)
            for reader in self._readers:
                reader.join(5)
            self.process.stdout.close()
            self.process.stderr.close()

"""Run a command, and end it with everything that it started as soon as whoever ran this is gone.

Standard input is the leash: it is closed by who holds it, or by the system when that one is killed. This runs by itself, with the standard library only.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    # What other tests do meanwhile is worth more than an early start.
    os.nice(5)
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_the_leash, args=(server.pid,), daemon=True).start()
    status = server.wait()
    _end(server.pid)
    return status


def _end_with_the_leash(group: int) -> None:
    os.read(0, 1)
    _end(group)


def _end(group: int) -> None:
    """Kill a group: what it wrote is of no use to anybody any more."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(main())

"""A child's lifeline: a pipe whose other end only the supervisor holds. When it closes, the supervisor is gone, and the child stops."""

import os
import signal
import threading


def stop_with_supervisor(fd: int) -> None:
    """Stop this process as SIGTERM would, as soon as the other end of the pipe `fd` is closed."""
    threading.Thread(target=_watch, args=(fd,), name="lifeline", daemon=True).start()


def _watch(fd: int) -> None:
    # Nothing is ever written: the read returns when the last holder of the other end is gone.
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

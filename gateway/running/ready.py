"""Whether processes of ours answer yet."""

import time
from collections.abc import Callable

from gateway.asking.probe import Place, answer_of

_PAUSE = 0.02
_OK = 200


def reachable_host(host: str) -> str:
    """Return the host at which this machine reaches a gate that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison


def url_of(host: str, port: int) -> str:
    """Return the address of a gate for programs on this machine."""
    host = reachable_host(host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def gate_answers(host: str, port: int, *, timeout: float = 1.0) -> bool:
    """Return whether the gate answers."""
    answer = answer_of(Place(reachable_host(host), port), "GET", "/healthz", timeout=timeout)
    return answer is not None and answer[0] == _OK


def wait_until(holds: Callable[[], bool], seconds: float, *, pause: float = _PAUSE) -> bool:
    """Wait until `holds`, at most `seconds`; return whether it does."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
    return True

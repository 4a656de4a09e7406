"""Do something heavy in a process of its own that ends right after, so that this one stays small."""

import json
import os
import traceback
from collections.abc import Callable
from typing import Any


class Refused(Exception):
    """What was to be done cannot be done; `problems` says why, in lines for people."""

    def __init__(self, problems: list[str]) -> None:
        """Keep the lines."""
        super().__init__("\n".join(problems))
        self.problems = problems


def done_aside(work: Callable[[], Any]) -> Any:
    """Return the JSON value that `work` returns in a fork of this process.

    Raises:
        Refused: it raised ValueError or OSError.
        RuntimeError: it failed in a way that nobody foresaw; its traceback was written.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _answer_and_end(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    if not answer:
        raise RuntimeError("a helper process failed; what it said is above")
    value, problems = json.loads(answer)
    if problems is not None:
        raise Refused(problems)
    return value


def _answer_and_end(work: Callable[[], Any], writer: int) -> None:
    """Write the outcome and end the process here: what the caller would do next is not for the fork to do."""
    code = 1
    try:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(_outcome(work)).encode())
        code = 0
    except BaseException:  # noqa: BLE001 - the process ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(code)


def _outcome(work: Callable[[], Any]) -> tuple[Any, list[str] | None]:
    try:
        return work(), None
    except (ValueError, OSError) as error:
        return None, str(error).splitlines() or [type(error).__name__]

"""The processes that the supervisor keeps running, as command lines of our own."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.running.supervisor import Program

ROOT = Path(__file__).resolve().parents[2]
_AFTER_DRAIN = 10.0
_OFFICE_PATIENCE = 25.0


@dataclass(frozen=True, slots=True)
class Common:
    """What every process of ours is told: which settings, and the end of the pipe that closes when the supervisor is gone.

    `others` are descriptors that it inherits beside that.
    """

    config: str | None
    data: str
    host: str
    port: int
    lifeline: int
    others: tuple[int, ...] = ()

    def arguments(self, command: str) -> list[str]:
        """Return how to start `command`."""
        # -P: what lies in the working folder must not be imported in our place.
        start = [sys.executable, "-P", "-m", "gateway", command]
        config = ["--config", self.config] if self.config else []
        place = ["--data", self.data, "--host", self.host, "--port", str(self.port)]
        return [*start, *config, *place, "--lifeline", str(self.lifeline)]


def gate_programs(common: Common, workers: int, fd: int, drain: float, environ: Mapping[str, str]) -> list[Program]:
    """Return the gates. They share the listening socket `fd`."""
    return [
        Program(
            name="gate" if workers == 1 else f"gate {worker}",
            arguments=[*common.arguments("gate"), "--fd", str(fd), "--worker", str(worker)],
            environment=_environment(environ),
            fds=(fd, common.lifeline, *common.others),
            stage=0,
            patience=drain + _AFTER_DRAIN,
            reloads=True,
        )
        for worker in range(workers)
    ]


def office_program(common: Common, done: Callable[[], bool], environ: Mapping[str, str]) -> Program:
    """Return the office. `done` says whether it has recorded what the gates left in the journal."""
    return Program(
        name="office",
        arguments=common.arguments("office"),
        environment=_environment(environ),
        fds=(common.lifeline, *common.others),
        stage=1,
        patience=_OFFICE_PATIENCE,
        done=done,
    )


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process of ours: it finds our packages wherever they are."""
    path = os.pathsep.join([str(ROOT), *([environ["PYTHONPATH"]] if environ.get("PYTHONPATH") else [])])
    return {**environ, "PYTHONPATH": path}

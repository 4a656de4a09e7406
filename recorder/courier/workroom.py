"""The workroom of one destination: a worker of its own for packing, with a bound on how long a step may take."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from domain.destinations import Misconfigured
from recorder.courier.packing import Progress
from recorder.courier.worker import Runs

STEP_SECONDS = 20.0
MOST_LEFT_BEHIND = 8

Result = TypeVar("Result")


class Stuck(Exception):
    """A step did not end in time. `at` is the place of the claim that it was about, None where it was about several."""

    def __init__(self, at: int | None) -> None:
        super().__init__("a step did not end in time")
        self.at = at


class Workroom:
    """Runs slow functions that tell their progress. A thread cannot be ended, so one that is stuck is left behind, and another takes its place."""

    def __init__(self, make_worker: Callable[[], Runs], *, step_seconds: float = STEP_SECONDS) -> None:
        self._make_worker = make_worker
        self._worker = make_worker()
        self._step_seconds = step_seconds
        self._left_behind: list[Runs] = []

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return what `function` returns; it is given its progress as the last argument.

        Raises:
            Stuck: a step took too long.
            Misconfigured: that happened too often.

        """
        self._left_behind = [worker for worker in self._left_behind if worker.is_alive()]
        if len(self._left_behind) >= MOST_LEFT_BEHIND:
            raise Misconfigured("what prepares its calls did not end, again and again; mend its transformation, and restart")
        progress = Progress()
        worker = self._worker
        job = asyncio.ensure_future(worker.run(function, *arguments, progress))
        try:
            while True:
                step = progress.step
                done, _ = await asyncio.wait({job}, timeout=self._step_seconds)
                if done:
                    return job.result()
                if not progress.step:  # it has not begun: another one of ours is before it
                    if worker is not self._worker:
                        job.cancel()
                        worker = self._worker
                        job = asyncio.ensure_future(worker.run(function, *arguments, progress))
                elif progress.step == step:
                    raise Stuck(progress.at)
        finally:
            if not job.done():
                progress.given_up = True
                if progress.step:  # it may never end, and nobody would be there to notice
                    self._leave_behind(worker)
            job.cancel()

    def close(self) -> None:
        """Take no more."""
        self._worker.close()

    def _leave_behind(self, worker: Runs) -> None:
        worker.close()
        if worker is self._worker:
            self._left_behind.append(worker)
            self._worker = self._make_worker()

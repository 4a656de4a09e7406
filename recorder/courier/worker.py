"""Workers: threads for what is slow, so that the courier's loop goes on. Each has one thread, which ends with the process whatever it is at."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")
_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Runs(Protocol):
    """Runs functions somewhere, one at a time."""

    def run(self, function: Callable[..., Result], *arguments: Any) -> Awaitable[Result]:
        """Return what `function` returns, or raise what it raises."""

    def close(self) -> None:
        """Take no more. What runs is not waited for."""

    def is_alive(self) -> bool:
        """Return whether something may still run."""


class Worker:
    """One thread, which starts when it is needed first. An executor's threads would be waited for at the end of the process, however long they take."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run `function` in the thread, after what was given to it before."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._jobs.put((loop, future, function, arguments))
        return await future

    def close(self) -> None:
        """End the thread after what it was given."""
        self._jobs.put(None)

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            loop, future, function, arguments = job
            if future.cancelled():
                continue
            try:
                result = function(*arguments)
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                told: Callable[[], None] = _Telling(future, error=error)
            else:
                told = _Telling(future, result=result)
            try:
                loop.call_soon_threadsafe(told)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return


class _Telling:
    """Gives a result to whoever waits for it still."""

    __slots__ = ("_error", "_future", "_result")

    def __init__(self, future: "asyncio.Future[Any]", *, result: Any = None, error: BaseException | None = None) -> None:
        self._future = future
        self._result = result
        self._error = error

    def __call__(self) -> None:
        if self._future.done():
            return
        if self._error is not None:
            self._future.set_exception(self._error)
        else:
            self._future.set_result(self._result)

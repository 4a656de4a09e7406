"""Runs a call's coroutine without a task, for as long as it waits for nothing but signals.

A task costs a call four turns of the loop and as many objects; a warm call waits only for its upstream's answer and for the journal, and both
can go on with it right where they learn of it. As soon as the coroutine waits for anything else (a new connection, a long body), it goes on as a task.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any


class Signal:
    """Something that happens once, or fails: awaited by at most one, who goes on within `set_result`, not a turn of the loop later.

    It can be awaited in a task, too: to asyncio it looks like a future.
    """

    __slots__ = ("_asyncio_future_blocking", "_error", "_loop", "_over", "waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Belong to `loop`."""
        self._asyncio_future_blocking = False
        self._loop = loop
        self._over = False
        self._error: BaseException | None = None
        self.waiter: Callable[[], object] | None = None

    def done(self) -> bool:
        """Return whether it happened, or failed."""
        return self._over

    def set_result(self, _: None) -> None:
        """Let it happen."""
        self._over = True
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter()

    def set_exception(self, error: BaseException) -> None:
        """Let it fail."""
        self._error = error
        self.set_result(None)

    def __await__(self) -> Generator[Any, None, None]:
        if not self._over:
            self._asyncio_future_blocking = True
            yield self
        if self._error is not None:
            raise self._error

    # What a task asks of what it waits for.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        return self._loop

    def add_done_callback(self, told: Callable[["Signal"], object], *, context: Context | None = None) -> None:
        """Tell the task."""
        self.waiter = lambda: self._loop.call_soon(told, self, context=context)

    def result(self) -> None:
        """Raise what a task must be told at once; everything else is raised where the signal is awaited."""
        if isinstance(self._error, asyncio.CancelledError):
            raise self._error

    def cancel(self, msg: Any = None) -> bool:
        """Give up waiting: the task is cancelled."""
        del msg
        if not self._over:
            self.set_exception(asyncio.CancelledError())
            return True
        return False


class Steps:
    """A coroutine that is gone through step by step, from one signal to the next."""

    __slots__ = ("_cancelled", "_coroutine", "_inside", "_loop", "_signal", "_task")

    def __init__(self, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> None:
        """Take a coroutine that handles its own errors; `begin` takes its first step."""
        self._coroutine = coroutine
        self._loop = loop
        self._signal: Signal | None = None
        self._task: asyncio.Task[None] | None = None
        self._inside = self._cancelled = False

    def begin(self) -> None:
        """Go on until the coroutine waits for something, or ends."""
        self._go_on(None)

    def cancel(self) -> None:
        """Raise CancelledError where the coroutine waits."""
        if self._task is not None:
            self._task.cancel()
        elif self._inside:
            self._cancelled = True
        elif self._signal is not None:
            self._signal.waiter = None
            self._go_on(asyncio.CancelledError())

    def _go_on(self, error: BaseException | None) -> None:
        self._inside, self._signal = True, None
        try:
            wanted = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
        except (StopIteration, asyncio.CancelledError):
            return
        except Exception as bug:  # noqa: BLE001 - whoever gave the signal must go on
            self._loop.call_exception_handler({"message": "a call ended with an error that nobody handled", "exception": bug})
            return
        finally:
            self._inside = False
        self._wait_for(wanted)

    def _wait_for(self, wanted: Any) -> None:
        if type(wanted) is Signal:
            wanted._asyncio_future_blocking = False  # noqa: SLF001 - it is between the two
            self._signal = wanted
            wanted.waiter = self.begin
        else:
            self._task = self._loop.create_task(_Rest(self._coroutine, wanted))
        if self._cancelled:
            self._cancelled = False
            self.cancel()


async def in_task() -> None:
    """Go on as a task: what follows needs one."""
    await _Pause()


class _Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


class _Rest(Coroutine[Any, Any, None]):
    """What is left of a coroutine that waits for `wanted`, as a coroutine of a task.

    A task that is cancelled before its first step throws that in at the beginning; here it arrives where the coroutine waits, too. In an
    `async def` around it, it would never arrive: the call would hang for ever.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, None], wanted: Any) -> None:
        self._coroutine = coroutine
        self._wanted = wanted
        self._begun = False

    def send(self, value: Any) -> Any:
        if self._begun:
            return self._coroutine.send(value)
        self._begun = True
        return self._wanted

    def throw(self, *error: Any) -> Any:
        self._begun = True
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, None, None]:
        return self._coroutine.__await__()

"""A loop whose time passes when nobody has anything to do: hours of waiting take milliseconds, and always the same way."""

import asyncio
import selectors


class _Selector:
    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.passed = 0.0

    def select(self, timeout=None):
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("everybody waits for ever")
        self.passed += timeout
        return []

    def __getattr__(self, name):
        return getattr(self._real, name)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.passed


class Inline:
    """A worker that does everything at once, where it is asked to."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    async def run(self, function, *arguments):
        return function(*arguments)

    def close(self) -> None:
        pass

    def is_alive(self) -> bool:
        return False

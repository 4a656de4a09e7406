"""What the office writes for the gate: a file that is written whole, and only when what is in it has changed, or somebody took it away."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class Published(Generic[T]):
    """One such file. `publish` waits, and may be called from any thread; `value` is what was written last, None before that."""

    def __init__(self, path: Path, save: Callable[[Path, T], None]) -> None:
        """Write to `path` by `save`."""
        self.path = path
        self.value: T | None = None
        self._save = save
        self._lock = threading.Lock()

    def publish(self, value: Callable[[], T]) -> None:
        """Write what `value` returns, if that is something new. One at a time asks for it, so that what is older never comes last.

        Raises:
            OSError: it cannot be written. What `value` raises passes through, and the file stays as it was.
        """
        with self._lock:
            new = value()
            if new != self.value or not self.path.exists():
                self._save(self.path, new)
                self.value = new

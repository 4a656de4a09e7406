"""Notices when a file has changed, for what the office writes and the gate reads again."""

import os
from pathlib import Path


class ChangedFile:
    """Looks at one file, as often as it is asked: four times a second is nothing."""

    def __init__(self, path: Path) -> None:
        """Look at the file at `path`; it need not be there."""
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def changed(self) -> bool:
        """Return whether the file is another than when this was last asked; the first time it always is.

        Raises:
            OSError: it cannot be looked at.

        """
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - cheaper, for what is asked so often
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        except FileNotFoundError:
            seen = (0, 0, 0)
        if seen == self._seen:
            return False
        self._seen = seen
        return True

"""The settings that were accepted last, kept in memory: what dies and is started again has them, whatever stands in the file by then.

They may hold secrets, so they are never written to disk: children read them through a descriptor that they inherit.
"""

import os
import tempfile


class Accepted:
    """A text without a name in any folder, which children read as `path`."""

    def __init__(self, text: str) -> None:
        """Keep `text`."""
        self._file = os.fdopen(_anonymous(), "wb")
        self.write(text)

    def write(self, text: str) -> None:
        """Keep `text` in the place of the old one."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text.encode())
        self._file.flush()

    @property
    def fd(self) -> int:
        """The descriptor to inherit."""
        return self._file.fileno()

    @property
    def path(self) -> str:
        """The path under which a process that inherited the descriptor reads the text."""
        return f"/dev/fd/{self.fd}"


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("settings")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())

"""Fetched price lists in the data folder, each in a folder named for its SHA-256: written whole or not at all, and never changed."""

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from storage.folder import write_private


class PriceSnapshots:
    """Snapshots in a folder, and which of them is in force."""

    def __init__(self, path: Path) -> None:
        """Keep them at `path`; nothing is made yet."""
        self.path = path
        self._current = path / "current"

    def save(self, sha256: str, files: Mapping[str, bytes]) -> None:
        """Keep the files of a snapshot; one that is there already stays as it is.

        Raises:
            OSError: they cannot be written.
        """
        folder = self.path / sha256
        if folder.is_dir():
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path / f".{sha256[:12]}.{os.getpid()}.{secrets.token_hex(4)}"
        new.mkdir(mode=0o700)
        try:
            for name, content in files.items():
                write_private(new / name, content)
            new.rename(folder)
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            if not folder.is_dir():  # another office may have been faster
                raise

    def use(self, sha256: str | None) -> None:
        """Put a snapshot in force; None puts back the packaged one."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self._current, (sha256 or "").encode())

    def current(self) -> str | None:
        """Return the name of the snapshot in force, None for the packaged one."""
        try:
            return self._current.read_text().strip() or None
        except OSError:
            return None

    def due_in(self, every: float, now: float) -> float:
        """Return how many seconds it is until a list should be fetched again (Unix seconds); a list is as old as its being put in force."""
        try:
            return self._current.stat().st_mtime + every - now
        except OSError:
            return 0.0

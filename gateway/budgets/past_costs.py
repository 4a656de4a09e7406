"""What such calls cost before, as the gate knows it: a file that the office writes."""

from pathlib import Path

from gateway.changed_file import ChangedFile
from storage.past_costs import PastCosts, load_past_costs


class Lookup:
    """Says what the last calls of a key to one upstream with one model cost at most, but for one in a hundred."""

    def __init__(self, path: Path) -> None:
        """Look into the file at `path`; it is read by `refresh`."""
        self._path = path
        self._file = ChangedFile(path)
        self._costs: PastCosts = {}

    def refresh(self) -> bool:
        """Read the file again if it has changed; return whether it had.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no such file. What was known stays.

        """
        if not self._file.changed():
            return False
        self._costs = load_past_costs(self._path)
        return True

    def __call__(self, key: str, known_as: str | None) -> int | None:
        """Return nano-USD, None where too few calls are known. `known_as` is `upstream/model`."""
        return self._costs.get((key, known_as or ""))

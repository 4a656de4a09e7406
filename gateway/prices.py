"""The prices in force as the gate knows them: what the office published, read again when it changes."""

import logging
import os
from pathlib import Path

from pricing.book import PriceBook
from pricing.published import FILE, published_book

log = logging.getLogger("faregate.gate")


class PricesInForce:
    """Gives the book of now. Called from the gate's loop, four times a second at most."""

    def __init__(self, data: Path) -> None:
        """Look into the data folder `data`; nothing is read yet."""
        self._data = data
        self._seen: tuple[int, int, int] | None = None
        self._book: PriceBook | None = None

    def __call__(self) -> PriceBook:
        """Return the book; the same object for as long as nothing was published anew. What cannot be read leaves the last one."""
        try:
            stat = os.stat(self._data / FILE)  # noqa: PTH116 - four times a second
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        except OSError:
            seen = (0, 0, 0)
        if self._book is None or seen != self._seen:
            self._seen = seen
            self._book = self._read()
        return self._book

    def _read(self) -> PriceBook:
        try:
            return published_book(self._data)
        except ValueError as error:
            log.warning("The prices could not be read again: %s", error)
            return self._book or PriceBook.packaged()

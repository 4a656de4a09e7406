"""The prices in force as the gate knows them: what the office published, read again when it changes."""

import logging
from pathlib import Path

from gateway.changed_file import ChangedFile
from pricing.book import PriceBook
from pricing.published import FILE, published_book

log = logging.getLogger("faregate.gate")


class PricesInForce:
    """Gives the book of now. Called from the gate's loop, four times a second at most."""

    def __init__(self, data: Path) -> None:
        """Look into the data folder `data`; nothing is read yet."""
        self._data = data
        self._file = ChangedFile(data / FILE)
        self._book: PriceBook | None = None

    def __call__(self) -> PriceBook:
        """Return the book; the same object for as long as nothing was published anew. What cannot be read leaves the last one."""
        if self._file.changed() or self._book is None:
            self._book = self._read()
        return self._book

    def _read(self) -> PriceBook:
        try:
            return published_book(self._data)
        except ValueError as error:
            log.warning("The prices could not be read again: %s", error)
            return self._book or PriceBook.packaged()

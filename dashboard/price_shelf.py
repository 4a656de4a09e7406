"""The prices in force in the office: the snapshot, the prices of the settings (which only the file can change) and those in the store.

The gate reads them from a file that is written whole after each change, and now and then in case another office changed something.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from dashboard.published import Published
from domain.prices import Override
from pricing.book import PriceBook
from pricing.override_documents import override_of
from pricing.published import FILE, FOLDER, published_book, published_text, snapshot_named
from storage.folder import write_private
from storage.price_snapshots import PriceSnapshots
from storage.prices import PriceStore, StoredPrice

log = logging.getLogger(__name__)


# The name of the snapshot in force (None: the packaged one), and the prices over it.
_Contents = tuple[str | None, list[Override]]


class PriceShelf:
    """Holds the current book. Its methods wait, and may be called from any thread; `book` does not wait."""

    def __init__(self, store: PriceStore, own: Sequence[Override], data: Path) -> None:
        """Take the prices in `store` beside the settings' `own` ones, and publish them in the data folder.

        Until `publish` was called the book has those of the store as they were when they were last published.
        """
        self.store = store
        self.own = tuple(own)
        self.snapshots = PriceSnapshots(data / FOLDER)
        self._data = data
        self._file = Published[_Contents](data / FILE, self._put)
        self._name: str | None = None
        self.book = PriceBook.packaged().with_overrides(self._before())

    def publish(self) -> None:
        """Take what the store has now, and write the file if anything has changed.

        Raises:
            StoreUnavailable: the store is away; everything stays as it was.
            OSError: the file cannot be written.
        """
        self._file.publish(lambda: self._contents([*self.own, *filter(None, map(_readable, self.store.all()))]))

    def publish_without_store(self) -> None:
        """Write the settings' prices as they are now, and those of the store as they were when it was last there.

        Raises:
            OSError: the file cannot be written.
        """
        self._file.publish(lambda: self._contents(self._before()))

    def _before(self) -> list[Override]:
        """Return the settings' prices, and those of the store as they were last published."""
        try:
            kept = [price for price in published_book(self._data).overrides if price.origin == "database"]
        except ValueError:
            kept = []
        return [*self.own, *kept]

    def _contents(self, overrides: list[Override]) -> _Contents:
        return self._existing(self.snapshots.current()), overrides

    def _put(self, path: Path, contents: _Contents) -> None:
        """Make the book of it, and write the file."""
        name, overrides = contents
        snapshot = self.book.snapshot if name == self._name else snapshot_named(self._data, name)
        self.book = PriceBook(snapshot, overrides)
        self._name = name
        write_private(path, published_text(name, overrides))

    def _existing(self, name: str | None) -> str | None:
        """Return the snapshot to use: the packaged one where the one in force cannot be read."""
        try:
            snapshot_named(self._data, name)
        except (OSError, ValueError):
            log.warning("the price list in force cannot be read; the packaged one is used until another is fetched")
            return None
        return name


def _readable(stored: StoredPrice) -> Override | None:
    """Return a stored price; one that a newer version wrote, and this one does not understand, does not count."""
    try:
        return override_of(stored.document, price_id=stored.id, origin="database")
    except ValueError:
        log.warning("the price %s in the store cannot be read, and does not count", stored.id)
        return None

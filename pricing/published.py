"""The prices in force, as a file of the data folder: written by the office, read by the gate and by commands that ask nobody.

`prices.json` names the snapshot (null is the packaged one) and holds all overrides, from the settings and from the store. Fetched snapshots are in
`prices/`, each in a folder that is named for its SHA-256, so that a price reference can be resolved for as long as the folder is kept.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from domain.prices import Override
from pricing.book import PriceBook
from pricing.snapshot import PACKAGED, Snapshot

FILE, FOLDER = "prices.json", "prices"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[a-z0-9_.-]{1,80}")


def published_book(data: Path) -> PriceBook:
    """Return the book in force in the data folder `data`; the packaged prices where nothing was published yet.

    Raises:
        ValueError: what was published cannot be read.
    """
    try:
        document = json.loads((data / FILE).read_bytes())
    except FileNotFoundError:
        return PriceBook.packaged()
    except OSError as error:
        raise ValueError(f"{data / FILE} cannot be read: {error.strerror}") from error
    try:
        overrides = [_override(values) for values in document["overrides"]]
        return PriceBook(snapshot_named(data, document["snapshot"]), overrides)
    except (KeyError, TypeError, OSError) as error:
        raise ValueError(f"{data / FILE} is not as it was written; start the office, which writes it again") from error


def published_text(snapshot: str | None, overrides: Sequence[Override]) -> bytes:
    """Return what the file holds for these prices; the same prices give the same bytes."""
    return json.dumps({"snapshot": snapshot, "overrides": [asdict(one) for one in overrides]}, sort_keys=True).encode()


def snapshot_named(data: Path, sha256: str | None) -> Snapshot:
    """Return a snapshot by its name; None is the packaged one.

    Raises:
        OSError: it is not there.
        ValueError: it is no snapshot.
    """
    return Snapshot.packaged() if sha256 is None else Snapshot(reader_named(data, sha256))


def reader_named(data: Path, sha256: str | None) -> Callable[[str], bytes]:
    """Return what reads the files of a snapshot, and nothing else; None is the packaged one.

    Raises:
        ValueError: this is no name of a snapshot.
    """
    return reader_of(PACKAGED if sha256 is None else data / FOLDER / checked_name(sha256))


def checked_name(sha256: str) -> str:
    """Return the name of a snapshot, if it is one.

    Raises:
        ValueError: it is something else, and must not become part of a path.
    """
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError("a snapshot is named by its SHA-256")
    return sha256


def reader_of(folder: Path) -> Callable[[str], bytes]:
    """Return what reads the files of a snapshot in `folder`, and nothing else."""

    def read(name: str) -> bytes:
        if not _FILE_NAME.fullmatch(name):
            raise FileNotFoundError(name)
        return (folder / name).read_bytes()

    return read


def _override(values: dict[str, Any]) -> Override:
    times = values.get("times")
    return Override(**{**values, "times": None if times is None else (int(times[0]), int(times[1]))})

"""The keys as the gate knows them: a file that the office writes whole whenever a key changes."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from domain.keys import ApiKey
from storage.list_file import read_list, write_list

_decode = msgspec.json.Decoder(list[ApiKey]).decode


def save_keys(path: Path, keys: Iterable[ApiKey]) -> None:
    """Replace the key file by `keys`, in one step."""
    write_list(path, keys)


def load_keys(path: Path) -> list[ApiKey]:
    """Return the keys in the file; none if there is no file yet.

    Raises:
        ValueError: the file is not one that `save_keys` wrote.
    """
    return read_list(path, _decode, "keys")

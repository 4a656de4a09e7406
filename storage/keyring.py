"""The keys as the gate knows them: a file that the office writes whole whenever a key changes."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from domain.keys import ApiKey
from storage.folder import write_private

_decode = msgspec.json.Decoder(list[ApiKey]).decode


def save_keys(path: Path, keys: Iterable[ApiKey]) -> None:
    """Replace the key file by `keys`, in one step."""
    write_private(path, msgspec.json.encode(list(keys)))


def load_keys(path: Path) -> list[ApiKey]:
    """Return the keys in the file; none if there is no file yet.

    Raises:
        ValueError: the file is not one that `save_keys` wrote.
    """
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        message = f"{path} cannot be read as keys: {error}"
        raise ValueError(message) from error

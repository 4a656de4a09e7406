"""A list as a file: written whole by the office, read whole by the gate."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from storage.folder import write_private

T = TypeVar("T")


def write_list(path: Path, values: Iterable[object]) -> None:
    """Replace the file by `values`, in one step.

    Raises:
        OSError: it cannot be written.
    """
    write_private(path, msgspec.json.encode(list(values)))


def read_list(path: Path, decode: Callable[[bytes], list[T]], what: str) -> list[T]:
    """Return what is in the file; nothing if there is no file yet. `what` is what it should hold.

    Raises:
        ValueError: the file is not one that `write_list` wrote of such values.
    """
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        message = f"{path} cannot be read as {what}: {error}"
        raise ValueError(message) from error

"""The budgets as the gate knows them: a file that the office writes whole whenever a budget changes."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from domain.budgets import Budget
from storage.list_file import read_list, write_list

_decode = msgspec.json.Decoder(list[Budget]).decode


def save_budgets(path: Path, budgets: Iterable[Budget]) -> None:
    """Replace the file by `budgets`, in one step."""
    write_list(path, budgets)


def load_budgets(path: Path) -> list[Budget]:
    """Return the budgets in the file; none if there is no file yet.

    Raises:
        ValueError: the file is not one that `save_budgets` wrote.
    """
    return read_list(path, _decode, "budgets")

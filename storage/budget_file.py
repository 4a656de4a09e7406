"""The budgets as the gate knows them: a file that the office writes whole whenever a budget changes."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from domain.budgets import Budget
from storage.folder import write_private

_decode = msgspec.json.Decoder(list[Budget]).decode


def save_budgets(path: Path, budgets: Iterable[Budget]) -> None:
    """Replace the file by `budgets`, in one step."""
    write_private(path, msgspec.json.encode(list(budgets)))


def load_budgets(path: Path) -> list[Budget]:
    """Return the budgets in the file; none if there is no file yet.

    Raises:
        ValueError: the file is not one that `save_budgets` wrote.
    """
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        message = f"{path} cannot be read as budgets: {error}"
        raise ValueError(message) from error

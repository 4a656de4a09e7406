"""What a process does again and again beside its work, whatever becomes of it."""

import logging
from collections.abc import Callable

log = logging.getLogger("faregate.chores")


class Chore:
    """Something done again and again; when it begins to fail, and when that is over, it is said once."""

    def __init__(self, name: str, step: Callable[[], object]) -> None:
        """Name it, and what it does."""
        self._name = name
        self._step = step
        self._failing = False

    def do(self) -> None:
        """Do it once."""
        try:
            self._step()
        except (OSError, ValueError) as error:
            if not self._failing:
                log.warning("%s fails, and is tried again: %s", self._name.capitalize(), error)
            self._failing = True
        else:
            if self._failing:
                log.warning("%s works again.", self._name.capitalize())
            self._failing = False

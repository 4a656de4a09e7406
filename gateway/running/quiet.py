"""Whether the office has recorded what there is. Gates write to the journal a moment after a call has ended, so one look says little."""

import time
from collections.abc import Callable, Mapping
from typing import Any

_A_MOMENT = 0.3


class Quiet:
    """Told how the office is again and again, knows when nothing is left to record."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Begin; nothing is known yet."""
        self._now = now
        self._recorded: int | None = None
        self._since = 0.0

    def after(self, status: Mapping[str, Any]) -> bool:
        """Take the office's status; return whether nothing has waited for longer than a gate takes to write."""
        recorded, journal = int(status["recorder"]["recorded"]), status["journal"]
        waits = journal["oldest_age_seconds"] is not None or journal["backlog_bytes"] > 0
        if waits or recorded != self._recorded:
            self._recorded, self._since = recorded, self._now()
            return False
        return self._now() - self._since >= _A_MOMENT

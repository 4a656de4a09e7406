"""Settings read again while everything runs: looked at as a whole first, so that bad ones leave the old ones in force."""

from collections.abc import Callable
from typing import Any

from gateway.running.aside import Refused, done_aside


def reloadable(load: Callable[[], Any], say: Callable[[str], None], take: Callable[[str], None] | None = None) -> bool:
    """Return whether the settings that `load` reads are right; say that they are, or what is wrong with them.

    `take` is given what `load` returned, a text.
    """
    try:
        # Settings cost more memory than a process that only watches others should ever have.
        if take is None:
            done_aside(lambda: _checked(load))
        else:
            take(done_aside(load))
    except Refused as refused:
        say("\n  ".join(["The settings were not taken; the old ones stay:", *refused.problems]))
        return False
    say("The settings are read again. (Address, workers and data folder change at the next start.)")
    return True


def _checked(load: Callable[[], Any]) -> None:
    """Read the settings and forget them: the gates read them for themselves."""
    load()

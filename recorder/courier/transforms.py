"""Custom transformations: Python functions of a user's own that change what one destination gets, by entry point."""

import difflib
from collections.abc import Callable
from importlib.metadata import entry_points

from domain.destinations import Parcel

# Returns what is to be sent, None for nothing.
Transform = Callable[[Parcel], Parcel | None]

GROUP = "faregate.transforms"


def transform_called(name: str) -> Transform:
    """Return the function that an installed package offers as `name` in the entry point group `faregate.transforms`.

    Raises:
        ValueError: there is none, or it cannot be loaded; the nearest name is in the message.

    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        near = difflib.get_close_matches(name, found, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; installed packages offer {sorted(found) or 'none'} in {GROUP!r}"
        raise ValueError(f"there is no transformation called {name!r}{hint}")
    try:
        function = found[name].load()
    except Exception as error:
        raise ValueError(f"the transformation {name!r} cannot be loaded: {type(error).__name__}") from error
    if not callable(function):
        raise ValueError(f"the transformation {name!r} is not a function")  # noqa: TRY004 - settings are wrong, not types
    loaded: Transform = function
    return loaded

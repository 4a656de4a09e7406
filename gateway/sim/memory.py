"""What the simulated responses API remembers: the last few responses, and no more."""

from collections import OrderedDict
from dataclasses import dataclass

from gateway.sim.http import Json


@dataclass(frozen=True, slots=True)
class Kept:
    """A response that can be asked for again. `ready_at` is when its background work is done, in Unix seconds."""

    response: Json
    texts: tuple[str, ...]
    items: tuple[Json, ...]
    ready_at: float


class Memory:
    """A bounded memory, the oldest going first. One is shared by all connections to one simulation."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def keep(self, kept: Kept) -> None:
        """Remember a response by its id."""
        self._kept[kept.response["id"]] = kept
        self._kept.move_to_end(kept.response["id"])
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def find(self, response_id: str) -> Kept | None:
        """Return the response of this id, or None if it was never kept or is forgotten."""
        return self._kept.get(response_id)

    def forget(self, response_id: str) -> bool:
        """Forget a response; say whether it was there."""
        return self._kept.pop(response_id, None) is not None

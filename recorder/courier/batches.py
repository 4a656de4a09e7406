"""Batches: which deliveries go into one request, what that is called, and how it is split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from domain.deliveries import Claimed
from recorder.courier.clock import NANOSECONDS
from recorder.courier.packing import Item

HOUR = 3600 * NANOSECONDS


@dataclass(frozen=True, slots=True)
class Batch:
    """Items that go together. `id` follows from what is in it, so that it is the same when the same is tried again."""

    id: str
    items: tuple[Item, ...]


def batches_of(items: Sequence[Item], *, by_hour: bool, most: int) -> list[Batch]:
    """Return items in batches, in order: each event alone, calls together, or with those that began in the same hour (UTC).

    What was claimed as one batch stays one; anything else goes at most `most` at a time.
    """
    groups: dict[tuple[str | None, int, int], list[Item]] = {}
    for place, item in enumerate(items):
        if item.claim.event is not None:
            key: tuple[str | None, int, int] = (None, -1, place)
        else:
            began = item.parcel.span.started_at if by_hour and item.parcel is not None else 0
            key = (item.claim.batch, began // HOUR, 0)
        groups.setdefault(key, []).append(item)
    if len(groups) == 1 and (kept := items[0].claim.batch):
        return [Batch(kept, tuple(items))]
    return [
        Batch(_id_of(part, group[0].claim.batch or ""), tuple(part))
        for group in groups.values()
        for part in (_slices(group, most) if group[0].claim.batch is None else [group])
    ]


def halves(batch: Batch) -> list[Batch]:
    """Return the two halves of a batch of several, in order."""
    middle = len(batch.items) // 2
    parts = batch.items[:middle], batch.items[middle:]
    return [Batch(_id_of(part, batch.id), part) for part in parts]


def without(batch: Batch, gone: Sequence[Item]) -> Batch:
    """Return a batch without some of its items, under the same id."""
    left = {id(item) for item in gone}
    return Batch(batch.id, tuple(item for item in batch.items if id(item) not in left))


def _slices(items: Sequence[Item], most: int) -> list[Sequence[Item]]:
    return [items[start : start + most] for start in range(0, len(items), most)]


def _id_of(items: Sequence[Item], within: str) -> str:
    text = "|".join([within, *(item.id or str(item.claim.number) for item in items)])
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def claim_id(claim: Claimed) -> str:
    """Return the id of a batch of one claim."""
    return _id_of([Item(claim)], "")

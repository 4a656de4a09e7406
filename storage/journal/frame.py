"""A record of the journal as it was read."""

from typing import NamedTuple


class Frame(NamedTuple):
    """A record as it was read, found whole. The sections are views of a larger buffer. A tuple, because every call makes two."""

    kind: int
    life: int
    part: int
    call: bytes
    meta: memoryview
    request: memoryview
    response: memoryview
    size: int

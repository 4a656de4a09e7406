"""Ids: a call's id is a UUIDv7, so that ids sort by time; trace and span ids follow from it, so that sending twice is harmless."""

import hashlib
import os
from random import Random


def new_id(at: int, source: Random | None = None) -> str:
    """Return a new UUIDv7 for the Unix time `at` in nanoseconds, as 32 hex digits.

    Ids are no secrets, so `source` need not be a cryptographic one; it must be seeded anew in each process. Without it the system's is used.

    Source: RFC 9562 section 5.7.
    """
    random = int.from_bytes(os.urandom(10), "big") if source is None else source.getrandbits(80)
    value = (at // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return f"{value:032x}"


def span_id_for(call_id: str) -> str:
    """Return the span id of a call: 16 hex digits that follow from its id."""
    return hashlib.sha256(call_id.encode() + b"|call").hexdigest()[:16]


def trace_id_for(project: str, run: str) -> str:
    """Return the trace id of all calls of one run that came without a `traceparent`: 32 hex digits, so that they stand together everywhere."""
    return hashlib.sha256(f"run|{project}|{run}".encode(errors="surrogatepass")).hexdigest()[:32]

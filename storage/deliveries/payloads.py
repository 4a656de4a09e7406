"""What was sent of a dead delivery: the beginning of it, kept so that somebody can see why it was not taken."""

from collections.abc import Iterable

import zstandard
from sqlalchemy import Connection

from storage.deliveries.ids import numbers_of
from storage.deliveries.sql import found, run_each

# What is kept of one.
LARGEST = 256 * 1024
_KEEP = """INSERT INTO dead_payloads (destination, number, at, content_type, data) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (destination, number) DO UPDATE SET at = excluded.at, content_type = excluded.content_type, data = excluded.data"""
_FIND = "SELECT content_type, data FROM dead_payloads WHERE destination = ? AND number = ?"


def packed(payload: bytes) -> bytes:
    """Return a payload as it is kept."""
    return zstandard.ZstdCompressor(level=1).compress(payload[:LARGEST])


def keep(connection: Connection, payloads: Iterable[tuple[str, int, int, str, bytes]]) -> None:
    """Keep packed payloads: destination, number, time of death in Unix nanoseconds, content type and bytes of each."""
    run_each(connection, _KEEP, list(payloads))


def payload(connection: Connection, call_id: str, destination: str) -> tuple[str, bytes] | None:
    """Return the content type and the beginning of what was sent of a dead delivery of a call or event; None where it was not kept."""
    number = numbers_of(connection, [call_id]).get(call_id)
    rows = [] if number is None else found(connection, _FIND, destination, number)
    if not rows:
        return None
    content_type, data = rows[0]
    return content_type, zstandard.ZstdDecompressor().decompress(data, max_output_size=LARGEST)

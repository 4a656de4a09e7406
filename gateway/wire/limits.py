"""How much, and how slowly, callers may send."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and how slowly callers may send. Seconds and bytes."""

    header_bytes: int = 32 * 1024
    header_count: int = 100
    header_seconds: float = 10.0
    body_idle_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    body_bytes: int = 100 * 2**20
    copy_bytes: int = 8 * 2**20
    connections: int = 10_000

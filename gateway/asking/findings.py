"""What a check of `faregate doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether all is well, the fact, and what mends it if not."""

    name: str
    ok: bool
    fact: str
    mend: str | None = None

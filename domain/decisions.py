"""What a rule decided about a call."""

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class Decision:
    """One rule's decision about one call: `matched` or not, and why, in one sentence. `kind`: `route` (which upstream) or `rule` (who hears of it)."""

    rule: str
    matched: bool
    why: str
    kind: Literal["route", "rule"] = "rule"

"""What rules say of a finished span: what they decided, and what is owed to whom."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.decisions import Decision
from domain.deliveries import Owed


@dataclass(slots=True)
class Ruling:
    """The decisions of all rules about one span, and the deliveries that follow from them: at most one for each destination."""

    decisions: Sequence[Decision] = ()
    owed: Sequence[Owed] = ()

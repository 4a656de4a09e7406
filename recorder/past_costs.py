"""What calls of each key to each upstream and model cost lately, so that the gate knows how much to hold for the next one."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping

from domain.prices import PICO_PER_NANO
from domain.spans import Span

CALLS = 200
# Of fewer calls nothing is said: one dear call would not be among them.
LEAST_CALLS = 20
MOST_KNOWN = 5_000


class PastCosts:
    """The last costs by key and `upstream/model`, the model as it was named there: prices differ, and routes rename.

    Those that were not used for longest are forgotten. For one thread at a time.
    """

    def __init__(self) -> None:
        """Begin with nothing: after a start, holds are as large as if nothing were known."""
        self._costs: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()
        self.changed = False

    def note(self, spans: Iterable[Span]) -> None:
        """Remember what calls cost, where that is known and is not nothing."""
        for span in spans:
            if not span.cost or span.model is None:
                continue
            sent = span.attempts[-1].model if span.attempts else None
            name = (span.key, f"{span.upstream}/{sent or span.model}")
            costs = self._costs.get(name)
            if costs is None:
                costs = self._costs[name] = deque(maxlen=CALLS)
                if len(self._costs) > MOST_KNOWN:
                    self._costs.popitem(last=False)
            self._costs.move_to_end(name)
            costs.append(-(-span.cost // PICO_PER_NANO))
            self.changed = True

    def known(self) -> Mapping[tuple[str, str], int]:
        """Return the 99th percentile of each that has enough calls, in nano-USD; what came until now is no change any more."""
        self.changed = False
        return {name: _high(costs) for name, costs in self._costs.items() if len(costs) >= LEAST_CALLS}


def _high(costs: Iterable[int]) -> int:
    ordered = sorted(costs)
    return ordered[max(-(-len(ordered) * 99 // 100) - 1, 0)]

"""Back-off: how long to wait after failures, with jitter, so that those who failed together do not come back together."""

from random import Random

FIRST, LONGEST = 1.0, 300.0
_DOUBLINGS = 30


def full_jitter(failures: int, random: Random, *, first: float = FIRST, longest: float = LONGEST) -> float:
    """Return how many seconds to wait after so many failures in a row: anything up to a bound that doubles from `first` to `longest`.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ ("full jitter").
    """
    bound = min(longest, first * 2 ** min(max(failures - 1, 0), _DOUBLINGS))
    return random.uniform(0.0, bound)

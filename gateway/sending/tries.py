"""Which target is tried after one that failed: the next one at once, and, when none is left, those that may be tried again, after a pause."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from domain.routes import Retries
from gateway.sending.breakers import MOVE_ON, Breakers, asked_pause
from gateway.sending.routes import Target
from gateway.wire.answer import Answer
from gateway.wire.steps import in_task


class Tries:
    """The further tries of one call."""

    def __init__(
        self,
        targets: Sequence[Target],
        retries: Retries | None,
        breakers: Breakers,
        random: Random,
        clock: Callable[[], float],
    ) -> None:
        """Try `targets` in their order, those that are left out last; the first of them has been tried. Without `retries` each is tried once."""
        self._left = list(targets[1:])
        self._again: list[tuple[float, Target]] = []
        self._retries = retries
        self._breakers = breakers
        self._random = random
        self._clock = clock
        self._further = 0
        self.pause = 0.0

    def after(self, failed: Target, answer: Answer | None) -> Target | None:
        """Return what to try after `failed`, which gave this answer or none; `pause` says in how many seconds. None: nothing."""
        self._note(failed, answer)
        return self.following()

    def following(self) -> Target | None:
        """Return what is next, as `after`: also in the place of a target that is not tried after all."""
        self.pause = 0.0
        if self._left:
            well = (place for place, target in enumerate(self._left) if not self._breakers.is_out(target))
            return self._left.pop(next(well, 0))
        return self._once_more()

    async def wait(self) -> None:
        """Wait for the pause."""
        if self.pause > 0:
            await in_task()
            await asyncio.sleep(self.pause)

    def _note(self, failed: Target, answer: Answer | None) -> None:
        """Remember a target that may be tried again, and from when on."""
        retries = self._retries
        if retries is None or (answer is not None and answer.status not in retries.statuses):
            return
        asked = None if answer is None else asked_pause(answer)
        self._again.append((self._clock() + (asked or 0.0), failed))

    def _once_more(self) -> Target | None:
        retries = self._retries
        if retries is None or not self._again or self._further >= retries.times:
            return None
        place = min(range(len(self._again)), key=lambda place: self._again[place][0])
        ready = self._again[place][0] - self._clock()
        if ready > retries.longest:
            return None
        most = min(retries.backoff * 2**self._further, retries.longest)
        self.pause = max(self._random.random() * most, ready)
        self._further += 1
        return self._again.pop(place)[1]


def moves_on(status: int, retries: Retries | None) -> bool:
    """Return whether an answer is not passed on while there is another try."""
    return status in MOVE_ON or (retries is not None and status in retries.statuses)

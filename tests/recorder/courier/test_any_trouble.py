"""Whatever a destination does, in whatever order: nothing is lost, only poison dies, and what it asks for is heeded."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.destinations import Misconfigured, Receipt, Rejected, TooLarge, Unavailable
from recorder.courier.courier import MOST_HELD
from tests.recorder.courier.world import DAY, Fake, World
from tests.storage.samples import a_content

ERRORS = {
    "refused": Unavailable("refused"),
    "error": Unavailable("crashed", status=500),
    "later": Unavailable("later", status=503, retry_after=40.0),
    "busy": Unavailable("busy", status=429, throttled=True),
    "key": Misconfigured("key", status=401),
    "plan": Misconfigured("plan", status=402),
    "bug": RuntimeError("a bug"),
    "large": TooLarge("large", status=413),
}
MOODS = ("none", "hangs", "again", *ERRORS)


class Moody(Fake):
    """Does what it is told to, one thing for each request, and is well from then on; poison is rejected whatever its mood."""

    def __init__(self, moods, **limits):
        super().__init__(self._answer, **limits)
        self.moods = list(moods)
        self.poison = set()
        self.quiet_until = 0.0
        self.rude = []

    def _answer(self, request):
        if request.at < self.quiet_until:
            self.rude.append(request.at)
        mood = self.moods.pop(0) if self.moods else "none"
        if mood == "hangs":
            return asyncio.sleep(1e9)
        if mood == "later":
            self.quiet_until = request.at + 40
        if mood in ERRORS and (mood != "large" or len(request.calls) > 1):
            raise ERRORS[mood]
        if self.poison & set(request.calls):
            raise Rejected("poison", status=400)
        again = {request.calls[0]: "again"} if mood == "again" else {}
        return Receipt(200, again=again)


@settings(max_examples=120, deadline=None)
@given(
    moods=st.lists(st.sampled_from(MOODS), max_size=40),
    poison=st.sets(st.integers(0, 39), max_size=10),
    limits=st.fixed_dictionaries({"items": st.integers(1, 30), "parallel": st.integers(1, 4), "keeps_batches": st.booleans()}),
    seed=st.integers(0, 99),
)
def test_nothing_is_lost_whatever_happens(moods, poison, limits, seed):
    fake = Moody(moods, **limits)
    with World({"d": fake}, seed=seed) as world:
        owed = world.owe("d", 40)
        fake.poison = {owed[place] for place in poison}
        while world.queue.counts()["d"].pending and world.loop.time() < DAY:
            world.run(60)
        assert set(fake.taken) == set(owed) - fake.poison
        assert len(fake.taken) == len(set(fake.taken))
        assert world.queue.died("d") == dict.fromkeys(fake.poison, "rejected")
        assert fake.rude == []
        assert world.status().state == "idle"


def test_what_all_lanes_hold_together_is_bounded_and_everyone_has_a_share():
    async def hangs(_):
        await asyncio.sleep(1e9)

    fakes = {f"d{number}": Fake(hangs, items=100, parallel=8, body_bytes=64 << 20, timeout=1e6) for number in range(10)}
    content = a_content(text="word " * 100_000)
    with World(fakes) as world:
        for name in fakes:
            world.owe(name, 60, content=content)
        world.run(30)
        held = {name: sum(len(request.body) for request in fake.requests) for name, fake in fakes.items()}
        assert min(held.values()) >= 1 << 20
        assert sum(held.values()) <= MOST_HELD * 1.5

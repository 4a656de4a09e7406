from dataclasses import replace

import pytest

from domain.destinations import Receipt, TooLarge
from tests.recorder.courier.world import Fake, World
from tests.storage.samples import a_content


@pytest.mark.parametrize("less", [{"items": 3}, {"body_bytes": 4_000}])
def test_a_destination_that_learns_that_its_server_takes_less_is_asked_for_less(less):
    """As LangSmith's does: it finds out at the first try, and says so by its limits."""

    refused = []

    def answer(request):
        fake.limits = replace(fake.limits, **less)
        if len(request.calls) > fake.limits.items or len(request.body) > fake.limits.body_bytes:
            refused.append(request)
            raise TooLarge("more than the server takes")
        return Receipt(200)

    fake = Fake(answer, items=20)
    with World({"d": fake}) as world:
        owed = world.owe("d", 200, content=a_content(text="word " * 100))
        world.run(60)
        assert sorted(fake.taken) == sorted(owed)
        assert len(fake.requests[0].calls) == 20
        assert len(refused) <= 7, "the halves of what it was asked for before it knew, and no more"
        assert world.queue.died("d") == {}

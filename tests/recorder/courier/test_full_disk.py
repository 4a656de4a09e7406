"""A disk that is full while deliveries are claimed, finished and buried: nothing is lost, and the courier goes on when there is room."""

import asyncio
import os
from contextlib import closing

from domain.destinations import Receipt, Rejected
from storage.database import open_database
from tests.harness.faults import filled, small_disk
from tests.recorder.courier.store_queue import StoreWorld
from tests.recorder.courier.world import Fake
from tests.storage.samples import a_content


def test_what_ends_while_the_disk_is_full_is_written_down_when_there_is_room(tmp_path):
    poison, full = set(), []

    async def slowly(request):
        await asyncio.sleep(1)
        full.append(room())
        if poison & set(request.calls):
            raise Rejected("bad span", status=400)
        return Receipt(200)

    def room():
        return os.statvfs(disk).f_bavail

    fake = Fake(slowly, items=8, parallel=4, flush=0.5)
    with small_disk(tmp_path / "disk", 32) as disk, closing(open_database(f"sqlite:///{disk / 'faregate.db'}")) as database:
        database.upgrade()
        with StoreWorld(database, {"d": fake}) as world:
            owed = world.owe("d", 40, content=a_content(text=os.urandom(15_000).hex()))
            poison.update(owed[12::9])
            while not (fake.taken and fake.running):
                world.run(0.25)
            with filled(disk):
                world.run(120)
                assert 0 in full
                assert world.counts()[:1] == (40,)
                asked = len(fake.requests)
                world.run(600)
                assert len(fake.requests) == asked, "what cannot be written down is not asked for again and again"
                assert len(fake.taken) < 40 - len(poison)
            world.run(120)
            assert sorted(fake.taken) == sorted(set(owed) - poison)
            assert world.died() == dict.fromkeys(poison, "rejected")
            assert world.counts() == (40, 40 - len(poison), 0, len(poison))
            for id_ in poison:
                _, payload = world.queue.payload(id_, "d")
                assert id_.encode() in payload

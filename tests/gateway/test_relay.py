"""The tee with a meter at it: what the caller lets flow is not read before it is paid for, and who left asks for nothing more."""

import asyncio
from types import SimpleNamespace

import pytest

from gateway.tee.relay import Relay


class Upstream:
    """The answer that is passed on."""

    def __init__(self):
        self.loop = asyncio.get_running_loop()
        self.trailers = []
        self.did = []

    def pass_to(self, receiver):
        self.receiver = receiver

    def pause(self):
        self.did.append("pause")

    def resume(self):
        self.did.append("resume")


class Meter:
    """A meter that somebody else works."""

    refused, over, closed = None, False, False

    def passed(self, piece):
        return piece

    def close(self):
        self.closed = True


def metered():
    caller = SimpleNamespace(on_ready=None, ready=True)
    relay = Relay(Upstream(), caller, SimpleNamespace(), withholding=None, reset=False)
    relay.meter = Meter()
    return relay, caller


async def test_a_caller_that_takes_more_again_does_not_undo_the_meters_pause():
    relay, caller = metered()
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0)
    relay.pause()
    caller.on_ready(False)
    caller.on_ready(True)
    before = list(relay._answer.did)
    relay.resume()
    running.cancel()
    assert (before, relay._answer.did) == (["pause", "pause"], ["pause", "pause", "resume"])


async def test_when_the_caller_leaves_the_meter_asks_for_no_more():
    relay, _ = metered()
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert relay.meter.closed

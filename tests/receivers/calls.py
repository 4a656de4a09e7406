"""Calls as they are sent to real servers: the fixture call's variants, under ids that no server has seen."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from destinations.base import DestinationConfig
from destinations.client import client_for
from domain.destinations import Parcel, Payload, Receipt
from domain.ids import new_id, trace_id_for
from tests.destinations.fixture import BATCH, error_variant, hostile, parcel, streamed_variant
from tests.harness.wire import until

# Servers take what comes before they keep it, and share this machine with others.
PATIENCE = 120.0
Found = TypeVar("Found")


def fresh(one: Parcel, *, run: str) -> Parcel:
    """Return a call under new ids, of a run (which is a trace) and a session of this name."""
    labels = replace(one.span.labels, run=run, session=run)
    return replace(one, span=replace(one.span, **_ids(run), labels=labels))


def _ids(run: str) -> dict[str, str]:
    return {"id": new_id(time.time_ns()), "trace_id": trace_id_for("shop", run), "span_id": os.urandom(8).hex()}


def conversation(run: str) -> list[Parcel]:
    """Return three calls of one run: answered, refused, and streamed."""
    return [fresh(one, run=run) for one in (parcel(), error_variant(), streamed_variant())]


def odd_ones(run: str) -> list[Parcel]:
    """Return calls that hold whatever JSON, an app or a provider can come up with, each in a trace of its own."""
    return [replace(one, span=replace(one.span, **_ids(f"{run}-{number}"))) for number, one in enumerate(hostile())]


def sent(config: DestinationConfig, parcels: Sequence[Parcel]) -> Receipt:
    """Send calls as one request, by the destination that these settings say."""
    return sent_bytes(config, config.build("mine", None).encode(parcels, BATCH))


def sent_bytes(config: DestinationConfig, payload: Payload) -> Receipt:
    """Send a payload, which need be none of ours."""

    async def send() -> Receipt:
        async with client_for(config) as client:
            return await config.build("mine", client).send(payload)

    return asyncio.run(send())


def eventually(read: Callable[[], Found], good: Callable[[Found], bool], what: str) -> Found:
    """Return what is read as soon as it is good. Reads are requests, so they are no more than a few each second."""
    found = read()
    pause = threading.Event()

    def now() -> bool:
        nonlocal found
        if good(found):
            return True
        pause.wait(0.3)
        found = read()
        return good(found)

    until(now, what, PATIENCE)
    return found

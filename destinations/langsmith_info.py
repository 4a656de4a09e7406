"""What a LangSmith server says of itself: how much it takes at once, and in which form.

Source: ../shared/reference/destinations.md section 4.1; `LangSmithInfo` of the langsmith package 0.15.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from destinations.http import ask
from domain.destinations import DeliveryFailed

if TYPE_CHECKING:
    import httpx

# Runs wait for this answer, and can do without it.
PATIENCE = 3.0
# Less than this is no limit that anybody meant: a single run would be too large for it.
LEAST_BYTES = 64 * 1024
_OK = 200


@dataclass(frozen=True, slots=True)
class Told:
    """What a server takes. `items` and `body_bytes` are the most in one request, None where it says nothing that can be meant."""

    multipart: bool = True
    zstd: bool = False
    items: int | None = None
    body_bytes: int | None = None


async def asked_of(
    client: "httpx.AsyncClient", url: str, headers: Mapping[str, str], *, patience: float = PATIENCE
) -> Told | None:
    """Return what the server at `url` says of itself, None where it does not within `patience` (seconds). What is wrong there shows when runs are sent."""
    try:
        async with asyncio.timeout(patience):
            answer = await ask(client, f"{url}/info", headers={"accept": "application/json", **headers})
    except (DeliveryFailed, TimeoutError):
        return None
    return told_in(answer.body) if answer.status == _OK else None


def told_in(body: bytes) -> Told | None:
    """Return what the body of an answer says, None if it is no such answer."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    limits, flags = _table(said, "batch_ingest_config"), _table(said, "instance_flags")
    return Told(
        multipart=limits.get("use_multipart_endpoint") is not False,
        zstd=flags.get("zstd_compression_enabled") is True,
        items=_whole(limits.get("size_limit"), 1),
        body_bytes=_whole(limits.get("size_limit_bytes"), LEAST_BYTES),
    )


def _table(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = said.get(name)
    return found if isinstance(found, dict) else {}


def _whole(value: Any, least: int) -> int | None:
    return value if type(value) is int and value >= least else None

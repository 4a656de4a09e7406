"""Destinations whose settings have changed since the last start: what is dead there is tried again, since the change may be what it died for the lack of.

What is remembered of settings is a keyed digest, secrets included, so that a new key is a change and the file gives nothing away.
"""

import json
import logging
from collections.abc import Collection, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from destinations.base import DestinationConfig
from domain.deliveries import Counts
from storage.folder import write_private

log = logging.getLogger(__name__)

# What died of these would die of them again, or was not wanted.
WORTH_A_TRY = ("rejected", "too_large", "transform", "gave_up")
AT_ONCE = 500


class DeadDeliveries(Protocol):
    """Where the dead are (`storage.deliveries.DeliveryDesk`)."""

    def counts(self) -> Mapping[str, Counts]:
        """Return how deliveries stand."""

    def retry_dead(self, destination: str, *, kinds: Collection[str] | None, limit: int) -> int:
        """Let dead deliveries be tried again; return how many."""


def retry_where_changed(
    path: Path, pepper: bytes, configs: Mapping[str, DestinationConfig], store: DeadDeliveries
) -> dict[str, int]:
    """Try again what is dead at destinations whose settings are not those in the file at `path`, and write them there; return how many, by name.

    Raises:
        StoreUnavailable: the store is away; the same can be done again.
        OSError: the file cannot be written; the same is done again at the next start.

    """
    before = _read(path)
    now = {name: digest_of(config, pepper) for name, config in configs.items()}
    changed = [name for name, digest in now.items() if before.get(name, digest) != digest]
    counts = store.counts() if changed else {}
    tried = {name: _retry(name, counts.get(name, Counts()), store) for name in changed}
    for name, count in tried.items():
        log.info("The settings of the destination %r have changed: %d dead deliveries are tried again.", name, count)
    if now != before:
        write_private(path, json.dumps(now).encode())
    return tried


def digest_of(config: DestinationConfig, pepper: bytes) -> str:
    """Return a digest of all settings of a destination, secrets included."""
    plain = json.dumps([config.model_dump(mode="json"), list(config.secrets())], sort_keys=True)
    return blake2b(plain.encode(errors="surrogatepass"), key=pepper[:64], digest_size=16).hexdigest()


def _retry(name: str, counts: Counts, store: DeadDeliveries) -> int:
    """Try again what is dead now; what dies again meanwhile is left alone."""
    left = counts.dead - counts.gone
    tried = 0
    while left > tried and (count := store.retry_dead(name, kinds=WORTH_A_TRY, limit=min(AT_ONCE, left - tried))):
        tried += count
    return tried


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_bytes())
        return {str(name): str(digest) for name, digest in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        log.warning("%s cannot be read, and is written anew: %s", path, type(error).__name__)
        return {}

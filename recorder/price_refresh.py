"""Fetch a newer price list, look at it with suspicion, and put it in force. Off until an operator names a URL.

A list counts only if it has the shape that we know and nearly all models that the one in force has. What moved is listed. A model in use whose
price moved wildly keeps its old price until somebody has looked: a wrong list must not open budgets, nor close them. Each list is kept by its
SHA-256, so that a price reference can be resolved later. Calls that were priced before keep their price.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pricing.book import PriceBook
from pricing.cards import Rate, usd_text
from pricing.compiling import INDEX, compiled, digest_of, raw_list
from pricing.published import reader_named
from pricing.resolving import Moment, prices_of, tiers_of
from pricing.snapshot import Snapshot
from pricing.units import MILLION, UNITS
from storage.price_snapshots import PriceSnapshots

log = logging.getLogger(__name__)

LEAST_KEPT = 0.95
WILD = 5
MOST_LISTED = 1_000
Used = Callable[[], Iterable[tuple[str, str | None, str]]]
_Names = set[tuple[str, str]]


class RefusedPrices(ValueError):
    """A list that was not put in force; the message says why."""


@dataclass(frozen=True, slots=True)
class Move:
    """A rate that is another one in the new list, in 1e-24 US dollars; `tier` is the tier's name."""

    provider: str
    model: str
    tier: str
    unit: str
    old: int
    new: int

    @property
    def wild(self) -> bool:
        """Whether it became more than five times as much, or less than a fifth."""
        return max(self.old, self.new) > WILD * min(self.old, self.new)


class PriceRefresh:
    """Refreshes the prices of one installation. `refresh` waits for the network, and may be called from any thread; one goes at a time."""

    def __init__(  # noqa: PLR0913 - its collaborators; each is another one in some test
        self,
        url: str,
        *,
        data: Path,
        snapshots: PriceSnapshots,
        book: Callable[[], PriceBook],
        used: Used,
        publish: Callable[[], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """Fetch from `url` (empty: never). `used` gives upstream, host and model of what was called lately; `publish` puts in force what was saved."""
        self._url = url
        self._data = data
        self._snapshots = snapshots
        self._book = book
        self._used = used
        self._publish = publish
        self._now = now
        self._lock = threading.Lock()

    def refresh(self, dry_run: bool) -> dict[str, Any]:
        """Fetch the list and put it in force, and return what is different about it, as JSON values; with `dry_run` only say it.

        Raises:
            RefusedPrices: it could not be fetched, or not be trusted. The old list stays in force.
        """
        if not self._url:
            raise RefusedPrices("No price list is named. Set price_refresh.url, and start the office again.")
        with self._lock:
            return self._refreshed(_fetched(self._url), dry_run=dry_run)

    def when_due(self) -> None:
        """Refresh; what goes wrong is logged, and tried again when it is due again."""
        try:
            report = self.refresh(False)
        except RefusedPrices as error:
            log.warning("prices were not refreshed: %s", error)
        else:
            log.info("prices refreshed: %d models, %d rates moved", report["models"], len(report["moved"]))

    def _refreshed(self, text: bytes, *, dry_run: bool) -> dict[str, Any]:
        old, at = self._book().snapshot, int(self._now() * 10**9)
        day = datetime.fromtimestamp(at // 10**9, UTC).date().isoformat()
        try:
            files = compiled(raw_list(text), f"genai-prices fetched-{day}")
            new = Snapshot.of_files(files)
            before, after = _names(old), _names(new)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RefusedPrices(f"The list has a shape that we do not know: {str(error)[:300]}") from None
        kept = len(before & after) / max(len(before), 1)
        if kept < LEAST_KEPT:
            raise RefusedPrices(
                f"The list lacks {len(before - after)} of {len(before)} models; at least {LEAST_KEPT:.0%} must be there."
            )
        moves = list(_moves(old, new, sorted(before & after), Moment(at)))
        used = self._models_in_use(old)
        held = {(move.provider, move.model) for move in moves if move.wild} & used
        missed = (before - after) & used
        sha256 = _keep(files, reader_named(self._data, self._snapshots.current()), held | missed)
        if not dry_run:
            self._put_in_force(sha256, files)
        return {
            "version": new.version,
            "snapshot": sha256,
            "in_force": not dry_run,
            "models": len(after),
            "share_kept": round(kept, 4),
            "added": [f"{provider}/{model}" for provider, model in sorted(after - before)][:MOST_LISTED],
            "gone": [f"{provider}/{model}" for provider, model in sorted(before - after)][:MOST_LISTED],
            "kept_though_gone": [f"{provider}/{model}" for provider, model in sorted(missed)][:MOST_LISTED],
            "moved": [_move_json(move, held) for move in sorted(moves, key=_most_first)][:MOST_LISTED],
        }

    def _put_in_force(self, sha256: str, files: Mapping[str, bytes]) -> None:
        try:
            self._snapshots.save(sha256, files)
            self._snapshots.use(sha256)
            self._publish()
        except OSError as error:
            raise RefusedPrices(f"The list cannot be kept: {error.strerror}") from error

    def _models_in_use(self, snapshot: Snapshot) -> _Names:
        """Return the models, as the list in force names them, that were called lately."""
        book, found = self._book(), set()
        for upstream, host, model in self._used():
            provider = book.provider(upstream, host)
            listed = None if provider is None else snapshot.find(provider, model)
            if listed is not None:
                found.add((listed[0], listed[1].id))
        return found


def _fetched(url: str) -> bytes:
    from recorder.price_fetching import fetched  # noqa: PLC0415 - an office without a URL has no HTTP client in memory

    return fetched(url)


def _names(snapshot: Snapshot) -> _Names:
    """Return all models of a snapshot; each line is decoded by that."""
    return {(provider, model.id) for provider in snapshot.providers for model in snapshot.models(provider)}


def _moves(old: Snapshot, new: Snapshot, both: Iterable[tuple[str, str]], moment: Moment) -> Iterator[Move]:
    """Yield each rate that is another one, in each tier, at this moment."""
    texts = {name: _texts(old, new, name) for name in {provider for provider, _ in both}}
    for provider, model in both:
        before, after = texts[provider]
        if before.get(model) == after.get(model):
            continue
        names = (model.lower(),)
        tiers = dict.fromkeys((*tiers_of(old, provider, names, moment), *tiers_of(new, provider, names, moment)))
        for tier in tiers:
            one, other = (prices_of(snapshot, provider, names, moment, tier, "") for snapshot in (old, new))
            if one is None or other is None:
                continue
            for unit in sorted(one.rates.keys() & other.rates.keys()):
                apart = _apart(one.rates[unit], other.rates[unit])
                if apart is not None:
                    yield Move(provider, model, tier.name, unit, *apart)


def _texts(old: Snapshot, new: Snapshot, provider: str) -> tuple[dict[str, tuple[bytes, bytes]], dict[str, tuple[bytes, bytes]]]:
    """Return the prices of each model of a provider in both lists, as the bytes that they are."""
    before, after = (
        {model.id: (bytes(model.prices), bytes(model.variants or b"")) for model in snapshot.models(provider)}
        for snapshot in (old, new)
    )
    return before, after


def _apart(old: Rate, new: Rate) -> tuple[int, int] | None:
    """Return the base rates if they differ, or the first rates above them that do; None where nothing does."""
    pairs = [(old.base, new.base), *((one[1], other[1]) for one, other in zip(old.above, new.above, strict=False))]
    return next(((before, after) for before, after in pairs if before != after), None)


def _keep(files: dict[str, bytes], read: Callable[[str], bytes], held: _Names) -> str:
    """Put the old lines of the models in `held` into the new files, and return what the files are named by."""
    for provider in sorted({provider for provider, _ in held}):
        name = f"{provider}.jsonl"
        models = {model for one, model in held if one == provider}
        old = {_id(line): line for line in read(name).splitlines() if _id(line) in models}
        lines = [old.pop(_id(line), line) for line in files.get(name, b"").splitlines()]
        if name in files:
            files[name] = b"".join(line + b"\n" for line in [*lines, *old.values()])
    index = json.loads(files[INDEX])
    sha256 = digest_of({name: content for name, content in files.items() if name != INDEX})
    files[INDEX] = files[INDEX].replace(index["sha256"].encode(), sha256.encode(), 1)
    return sha256


def _id(line: bytes) -> str:
    return str(json.loads(line)["id"])


def _most_first(move: Move) -> tuple[float, str, str]:
    factor = max(move.old, move.new) / min(move.old, move.new) if move.old and move.new else float("inf")
    return -factor, move.provider, move.model


def _move_json(move: Move, held: _Names) -> dict[str, Any]:
    units = MILLION if UNITS[move.unit].per_million else 1
    return {
        "provider": move.provider,
        "model": move.model,
        "tier": move.tier,
        "unit": move.unit,
        "old": usd_text(move.old * units),
        "new": usd_text(move.new * units),
        "quarantined": (move.provider, move.model) in held,
    }

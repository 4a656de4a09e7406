"""Packing: from claims to payloads, in a worker thread: what a destination may have, what a user's own function makes of it, and the encoding."""

import hashlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.deliveries import Claimed, ContentMode
from domain.destinations import Parcel, Payload, TakesEvents
from domain.spans import Content, Span
from recorder.courier.configured import Configured, Made
from recorder.fitting import fitted, fitted_extra
from recorder.redaction import CannotRedact

_MARGIN = 1024

Fit = Callable[..., tuple[Span, Content | None]]


@dataclass(slots=True)
class Item:
    """A claim on its way. `parcel` is None for an event, and for what has `failed`: the kind of its death, and the reason."""

    claim: Claimed
    parcel: Parcel | None = None
    failed: tuple[str, str] | None = None

    @property
    def id(self) -> str:
        """The id by which destinations speak of it."""
        if self.parcel is not None:
            return self.parcel.span.id
        return "" if self.claim.event is None else self.claim.event.id


@dataclass(slots=True)
class Progress:
    """What a job in a worker thread is at, so that the loop can see which step does not end. `at` is the index of the claim."""

    step: int = 0
    at: int | None = None
    given_up: bool = field(default=False)

    def begin(self, at: int | None) -> None:
        """Begin the next step.

        Raises:
            GivenUp: nobody waits for this job any more.

        """
        if self.given_up:
            raise GivenUp
        self.step += 1
        self.at = at


class GivenUp(Exception):
    """A job whose result nobody wants: it took too long at an earlier step."""


class Packer:
    """Makes parcels and payloads for one destination. Its methods are slow, and belong into a worker."""

    def __init__(self, configured: Configured, made: Made, *, fit: Fit = fitted) -> None:
        self._configured = configured
        self._destination = made.destination
        self._transform = made.transform
        self._fit = fit

    def items(self, claims: Sequence[Claimed], progress: Progress) -> list[Item]:
        """Return each claim as what the destination may have of it. One that cannot be made is marked, and holds up nobody else."""
        made = []
        for place, claim in enumerate(claims):
            progress.begin(place)
            try:
                made.append(self._item(claim))
            except CannotRedact as error:
                made.append(Item(claim, failed=("transform", f"could not be redacted: {error}")))
            except Exception as error:  # noqa: BLE001 - one call must never hold up the others
                made.append(Item(claim, failed=("transform", f"could not be prepared: {bug_of(error)}")))
        return made

    def payload(self, items: Sequence[Item], batch: str, progress: Progress) -> Payload | None:
        """Return one payload of items that stand together; those that cannot be encoded are marked, None if that is all of them."""
        progress.begin(None if len(items) > 1 else 0)
        try:
            return self._encoded(items, batch)
        except Exception as error:  # noqa: BLE001 - as above
            if len(items) == 1:
                items[0].failed = ("transform", f"could not be encoded: {bug_of(error)}")
                return None
        return self._without_poison(items, batch, progress)

    def _without_poison(self, items: Sequence[Item], batch: str, progress: Progress) -> Payload | None:
        for place, item in enumerate(items):
            progress.begin(place)
            try:
                self._encoded([item], batch)
            except Exception as error:  # noqa: BLE001 - as above
                item.failed = ("transform", f"could not be encoded: {bug_of(error)}")
        good = [item for item in items if item.failed is None]
        if not good or len(good) == len(items):
            for item in good:
                item.failed = ("transform", "could not be encoded together with others")
            return None
        return self.payload(good, batch, progress)

    def _encoded(self, items: Sequence[Item], batch: str) -> Payload:
        event = items[0].claim.event
        if event is not None and isinstance(self._destination, TakesEvents):
            return self._destination.encode_event(event)
        return self._destination.encode([item.parcel for item in items if item.parcel is not None], batch)

    def _item(self, claim: Claimed) -> Item:
        if claim.unreadable is not None:
            return Item(claim, failed=("unreadable", claim.unreadable))
        if claim.event is not None:
            takes = isinstance(self._destination, TakesEvents)
            return Item(claim, failed=None if takes else ("rejected", "this destination takes no events"))
        if claim.span is None:
            return Item(claim, failed=("unreadable", "there is nothing in it"))
        if self._configured.takes == "events":
            return Item(claim, failed=("rejected", "this destination takes events only"))
        return self._of_call(claim, claim.span)

    def _of_call(self, claim: Claimed, span: Span) -> Item:
        mode, profile = self._wish(claim)
        key, policy = self._configured.key, self._configured.policy
        # A copy, since a transformation may add to it, and what was owed is shared.
        extra = fitted_extra(claim.owed.extra, mode=mode, profile=profile, key=key, policy=policy, labels=span.labels)
        span, content = self._fit(span, claim.content, mode=mode, profile=profile, key=key, policy=policy)
        parcel = Parcel(span, content, extra, self._configured.servers.get(span.upstream))
        if self._transform is None:
            return Item(claim, parcel)
        changed = self._transform(parcel)
        if changed is None:
            return Item(claim, failed=("dropped", "the transformation left it out"))
        if not _is_parcel(changed):
            return Item(claim, failed=("transform", "the transformation returned something else than a parcel"))
        return Item(claim, changed)

    def _wish(self, claim: Claimed) -> tuple[ContentMode, tuple[str, ...]]:
        owed = claim.owed
        mode = self._configured.content if owed.content is None else owed.content
        return mode, self._configured.redact if owed.redact is None else owed.redact


def _is_parcel(value: Any) -> bool:
    """Return whether a transformation returned what all that follows can rely on."""
    return (
        isinstance(value, Parcel)
        and isinstance(value.span, Span)
        and isinstance(value.content, Content | None)
        and isinstance(value.extra, Mapping)
        and value.shortened is None
    )


def recorded_bytes(claim: Claimed) -> int:
    """Return about how many bytes a claim holds in memory."""
    content = claim.content
    return _MARGIN if content is None else _MARGIN + len(content.request) + len(content.response)


def bug_of(error: Exception) -> str:
    """Return an error's class and a short hash of where it came from: enough to find it again, nothing of what it was about."""
    frames = traceback.extract_tb(error.__traceback__)
    places = "|".join(f"{frame.filename.rpartition('/')[2]}:{frame.name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} {hashlib.sha256(places.encode()).hexdigest()[:12]}"

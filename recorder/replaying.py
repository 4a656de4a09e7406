"""Replays: owe recorded spans to a destination again, in small steps at a given pace, on the lane behind live traffic.

A replay is a line in a small file: what was asked, and how far it is. An office that is killed goes on from there; the step that it was at
is done twice, which does no harm, for ids are the same.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from domain.deliveries import Lane, Owed
from domain.errors import StoreUnavailable
from domain.ids import new_id
from domain.people import has_name
from domain.replays import Estimate, Replay, ReplayAsked
from domain.spans import Span
from routing.lexing import plain_text, tokens_of
from routing.where import Where, compile_where
from storage.folder import write_private
from storage.spans import CallQuery, Page

log = logging.getLogger(__name__)

NANOSECONDS = 10**9
STEP, LOOK_AT_ONCE = 500, 500
# How far owing may be ahead of sending: so much of a replay comes at once when a destination is back.
AHEAD_SECONDS, LEAST_AHEAD = 5.0, 50
MOST_KEPT, MOST_RUNNING = 100, 20
PAUSE, LONG_PAUSE = 1.0, 5.0
# What stands for a condition that named somebody who is to be forgotten. It is a condition, and nobody's.
FORGOTTEN = "false // forgotten"
_COMMENT = re.compile(r"//[^\n]*")


class Calls(Protocol):
    """The recorded calls (`storage.spans.SpanStore`)."""

    def calls(self, query: CallQuery, /) -> Page:
        """Return one page of a list."""


class ReplayQueue(Protocol):
    """Where spans are owed (`storage.deliveries.DeliveryStore`)."""

    def known(self, destination: str, ids: Sequence[str], /) -> AbstractSet[str]:
        """Return which of these calls the destination has, or has waiting."""

    def replay(self, destination: str, ids: Sequence[str], owed: Owed, /) -> int:
        """Owe these calls to a destination, on the lane of replays; return how many those are."""

    def waiting(self, destination: str, lane: Lane, /, *, most: int) -> int:
        """Return how many deliveries of a lane wait; `most` is "so many or more"."""


def _as_the_settings_say(_span: Span, destination: str) -> Owed | None:
    """Owe a span to a destination as the destination's own settings say."""
    return Owed(destination)


def _nobody() -> None:
    """Wake nobody."""


def _at_any_pace(_destination: str, _rate: float | None) -> None:
    """Tell nobody how fast replays go."""


class Replays:
    """All replays of this office. `run` belongs to one thread; everything else may be called from any."""

    def __init__(  # noqa: PLR0913 - its collaborators; each is replaced in some test
        self,
        path: Path,
        calls: Calls,
        queue: ReplayQueue,
        *,
        owed_for: Callable[[Span, str], Owed | None] = _as_the_settings_say,
        woken: Callable[[], object] = _nobody,
        paced: Callable[[str, float | None], object] = _at_any_pace,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep replays in the file at `path`. `owed_for` says how a span is owed to a destination; None where it must not be.

        `woken` hears that something was owed, and `paced` how many calls per second the replays to a destination are to send; None where none runs.
        """
        self._path = path
        self._calls = calls
        self._queue = queue
        self._owed_for = owed_for
        self._tell_courier = woken
        self._tell_pace = paced
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._replays = _load(path)
        self._due: dict[str, float] = {}
        self._looks: dict[str, int] = {}
        self._paces: dict[str, float] = {}
        self._pace_again = 0.0

    def begin(self, asked: ReplayAsked) -> Replay | None:
        """Begin a replay, and return it; None where as many as may at once run already."""
        with self._lock:
            if sum(one.state == "running" for one in self._replays.values()) >= MOST_RUNNING:
                return None
            made = Replay(new_id(int(self._now() * NANOSECONDS)), asked, "running", int(self._now() * NANOSECONDS))
            self._put(made)
        self._woken.set()
        return made

    def all(self) -> list[Replay]:
        """Return all replays that are remembered, the newest first."""
        with self._lock:
            return sorted(self._replays.values(), key=lambda one: (one.made_at, one.id), reverse=True)

    def get(self, id_: str) -> Replay | None:
        """Return one replay."""
        with self._lock:
            return self._replays.get(id_)

    def end(self, id_: str) -> Replay | None:
        """Stop a replay where it is; what it owed is still sent. Return it, None if there is none of this id."""
        with self._lock:
            found = self._replays.get(id_)
            if found is not None and found.state == "running":
                found = self._put(replace(found, state="stopped", ended_at=self._at(), waits=None))
            return found

    def forget(self, names: Collection[str]) -> int:
        """Forget the conditions of replays that name somebody in `names`, and return how many those are. One that runs yet is stopped: its calls are erased."""
        with self._lock:
            found = [one for one in self._replays.values() if one.asked.where is not None and _names(one.asked.where, names)]
            for one in found:
                over: dict[str, Any] = (
                    {"state": "stopped", "ended_at": self._at(), "waits": None} if one.state == "running" else {}
                )
                self._put(replace(one, asked=replace(one.asked, where=FORGOTTEN), **over))
        return len(found)

    def estimate(self, asked: ReplayAsked, seconds: float) -> Estimate:
        """Return what a replay would do, as far as `seconds` suffice to look.

        Raises:
            StoreUnavailable: the store is away.

        """
        where = _where(asked)
        end = self._monotonic() + seconds
        found = Estimate(0, 0, 0, whole=False)
        cursor: str | None = None
        while not found.whole and (found.looked == 0 or self._monotonic() < end):
            page = self._page(asked, cursor, LOOK_AT_ONCE)
            wanted = self._wanted(asked, where, page.spans)
            cursor = page.next_cursor
            found = Estimate(
                found.looked + len(page.spans),
                found.spans + len(wanted),
                found.bytes + sum(span.request_bytes + span.response_bytes for span, _ in wanted),
                whole=cursor is None,
                place=page.spans[-1].started_at if page.spans else found.place,
            )
        return found

    def stop(self) -> None:
        """Make `run` return after the step it is at."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Go on with replays until `stop`, for ever: what is away is tried again."""
        while not self._stopping.is_set():
            self._woken.clear()
            pause = self.step()
            self._woken.wait(pause)

    def step(self) -> float:
        """Take the next step of each replay that is due; return in how many seconds one will be."""
        soonest = LONG_PAUSE
        going = [one for one in reversed(self.all()) if one.state == "running"]
        self._pace(going)
        for running in going:
            if self._stopping.is_set():
                break
            soonest = min(soonest, self._step_of(running))
        return soonest

    def _pace(self, going: Sequence[Replay]) -> None:
        """Tell how fast what is owed is to be sent: as fast as all replays to a destination together; now and then again, to who was not there yet."""
        paces: dict[str, float] = {}
        for one in going:
            paces[one.asked.destination] = paces.get(one.asked.destination, 0.0) + one.asked.rate
        again = self._monotonic() >= self._pace_again
        for name in paces.keys() | self._paces.keys():
            if again or paces.get(name) != self._paces.get(name):
                self._tell_pace(name, paces.get(name))
        if again:
            self._pace_again = self._monotonic() + LONG_PAUSE
        self._paces = paces

    def _step_of(self, running: Replay) -> float:
        """Take one step of a replay, if it is due; return in how many seconds the next one is."""
        left = self._due.get(running.id, 0.0) - self._monotonic()
        if left > 0:
            return left
        try:
            return self._go_on(running)
        except StoreUnavailable:
            self._note(running, waits="the store is away")
            return self._pause(running.id, PAUSE)
        except Exception as error:
            log.exception("the replay %s cannot go on", running.id)
            self._note(running, state="failed", ended_at=self._at(), error=f"{type(error).__name__}: the log says more")
            return LONG_PAUSE

    def _go_on(self, running: Replay) -> float:
        asked = running.asked
        ahead = max(int(asked.rate * AHEAD_SECONDS), LEAST_AHEAD)
        if self._queue.waiting(asked.destination, "replay", most=ahead) >= ahead:
            self._note(running, waits="what was owed before is not sent yet")
            return self._pause(running.id, PAUSE)
        least = max(1, min(int(asked.rate), STEP))
        looks = self._looks.get(running.id, least)
        page = self._page(asked, running.cursor, looks)
        wanted = self._wanted(asked, _where(asked), page.spans)
        # Where few are wanted, more are looked at in one step.
        self._looks[running.id] = least if wanted else min(looks * 2, STEP)
        alike = _alike(wanted)
        # What waits there already stays as it is, and is not counted.
        count = sum(self._queue.replay(asked.destination, ids, owed) for owed, ids in alike)
        if count:
            self._tell_courier()
        done = page.next_cursor is None
        self._note(
            running,
            looked=running.looked + len(page.spans),
            owed=running.owed + count,
            cursor=page.next_cursor,
            place=page.spans[-1].started_at if page.spans else running.place,
            state="done" if done else "running",
            ended_at=self._at() if done else None,
            waits=None,
        )
        return LONG_PAUSE if done else self._pause(running.id, count / asked.rate)

    def _page(self, asked: ReplayAsked, cursor: str | None, limit: int) -> Page:
        return self._calls.calls(CallQuery(limit=limit, cursor=cursor, since=asked.since, until=asked.until, newest_first=False))

    def _wanted(self, asked: ReplayAsked, where: Where | None, spans: Sequence[Span]) -> list[tuple[Span, Owed]]:
        """Return the spans that are to be owed, and how."""
        matching = [span for span in spans if where is None or where.matches(span)]
        if asked.only == "missing" and matching:
            known = self._queue.known(asked.destination, [span.id for span in matching])
            matching = [span for span in matching if span.id not in known]
        owed = ((span, self._owed_for(span, asked.destination)) for span in matching)
        return [(span, how) for span, how in owed if how is not None]

    def _pause(self, id_: str, seconds: float) -> float:
        self._due[id_] = self._monotonic() + seconds
        return seconds

    def _note(self, running: Replay, **changes: object) -> None:
        """Write down how far a replay is. One that somebody stopped meanwhile stays so."""
        with self._lock:
            found = self._replays.get(running.id, running)
            if found.state != "running":
                changes = {name: value for name, value in changes.items() if name in {"looked", "owed", "cursor", "place"}}
            changed = replace(found, **changes)  # type: ignore[arg-type]  # the names are those of `Replay`
            if changed != found:
                self._put(changed)

    def _put(self, changed: Replay) -> Replay:
        self._replays[changed.id] = changed
        if changed.state != "running":
            self._due.pop(changed.id, None)
            self._looks.pop(changed.id, None)
        try:
            self._save()
        except OSError as error:
            # The place in the file is then older, and what lies between is owed again after a restart.
            log.warning("How far replays are cannot be written down: %s", error.strerror)
        return changed

    def _save(self) -> None:
        over = [one for one in self._replays.values() if one.state != "running"]
        for one in sorted(over, key=lambda one: one.made_at)[: max(len(self._replays) - MOST_KEPT, 0)]:
            del self._replays[one.id]
        write_private(self._path, msgspec.json.encode(list(self._replays.values())))

    def _at(self) -> int:
        return int(self._now() * NANOSECONDS)


def _load(path: Path) -> dict[str, Replay]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[Replay])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        log.warning("The replays at %s cannot be read, and begin anew: %s", path, type(error).__name__)
        return {}
    return {one.id: one for one in found}


def _where(asked: ReplayAsked) -> Where | None:
    return None if asked.where is None else compile_where(asked.where)


def _names(where: str, names: Collection[str]) -> bool:
    """Return whether a condition has one of `names` in a text or a comment; one that cannot be read may have any."""
    try:
        texts = [plain_text(token.text) for token in tokens_of(where) if token.kind == "string"]
    except ValueError:
        return True
    return any(has_name(text, names) for text in (*texts, *_COMMENT.findall(where)))


def _alike(wanted: Sequence[tuple[Span, Owed]]) -> list[tuple[Owed, list[str]]]:
    """Return the ids of spans by how they are owed."""
    found: list[tuple[Owed, list[str]]] = []
    for span, owed in wanted:
        same = next((ids for one, ids in found if one == owed), None)
        if same is None:
            found.append((owed, [span.id]))
        else:
            same.append(span.id)
    return found

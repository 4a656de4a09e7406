"""Asking Presidio's process: in slices, within a time, and failing closed: what could not be looked through is neither kept nor sent."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from recorder.profiles import OwnKind
from recorder.redaction import CannotRedact, Place, without_media

log = logging.getLogger(__name__)

SCRIPT = Path(__file__).with_name("process.py")
# Language models take memory by the length of a text; a name that is cut by one slice is whole in the next.
SLICE, OVERLAP = 10_000, 200
# Reading a large model from a slow disk.
START_SECONDS = 60.0
# How long a process that could not be started is left alone.
REST_SECONDS = 60.0
MOST_REMEMBERED = 5_000
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
_HALF = re.compile("[\ud800-\udfff]")
_WORD = re.compile(r"[^\W\d_]{2}")


@dataclass(frozen=True, slots=True)
class Options:
    """What is looked for, by what, and within which bounds.

    `models` are by language: the name of an installed one, or a folder. `seconds` and `characters` are for all texts of one call, `memory` is bytes of address space.
    """

    models: Mapping[str, str]
    entities: tuple[str, ...] = ("PERSON", "LOCATION")
    score: float = 0.5
    seconds: float = 10.0
    characters: int = 256 * 1024
    memory: int = 2048 * 1024 * 1024


class _Ended(CannotRedact):
    """The process ended by itself."""


class Analyzer:
    """Finds entities in texts. Any thread may ask; one at a time is answered. The process starts when it is needed, and ends with ours."""

    def __init__(
        self,
        options: Options,
        *,
        command: Sequence[str] = (sys.executable, "-P", str(SCRIPT)),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what to look for; nothing runs yet. `command` is the process, without its argument."""
        self.options = options
        self._command = command
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._closed = False
        self._rests: tuple[float, str] | None = None
        self._known: OrderedDict[bytes, tuple[Place, ...]] = OrderedDict()
        self.kinds = tuple(OwnKind(entity.lower(), confidence=options.score) for entity in options.entities)
        self.names = frozenset(kind.name for kind in self.kinds)

    def start(self) -> None:
        """Start the process, and say in the log where that cannot be done: nothing that it is needed for is kept or sent then."""
        try:
            with self._lock:
                self._running()
        except CannotRedact as error:
            log.error("%s; contents that it is to look through are neither kept nor sent", error)  # noqa: TRY400 - its text says all

    def close(self) -> None:
        """End the process, also while somebody waits for it."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            self._end()

    def places(self, texts: Iterable[str]) -> dict[str, tuple[Place, ...]]:
        """Return where something was found in each text; those in which there is nothing are left out.

        Raises:
            CannotRedact: they could not be looked through, not all of them.

        """
        worth = {text for text in texts if _WORD.search(text)}
        length = sum(map(len, worth))
        if length > self.options.characters:
            raise CannotRedact(f"Presidio was not asked: {length:,} characters are more than redaction.presidio.most_kb allows")
        with self._lock:
            new = {text: _digest(text) for text in worth}
            missing = [text for text, digest in new.items() if digest not in self._known]
            fresh = dict(zip(missing, self._looked_through(missing), strict=True)) if missing else {}
            found = {text: fresh[text] if text in fresh else self._remembered(digest) for text, digest in new.items()}
            for text, places in fresh.items():
                self._known[new[text]] = places
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        return {text: places for text, places in found.items() if places}

    def _remembered(self, digest: bytes) -> tuple[Place, ...]:
        self._known.move_to_end(digest)
        return self._known[digest]

    def _looked_through(self, texts: Sequence[str]) -> list[tuple[Place, ...]]:
        slices = [(number, offset, part) for number, text in enumerate(texts) for offset, part in _slices(text)]
        found: list[set[Place]] = [set() for _ in texts]
        answers = self._asked([_HALF.sub("?", part) for _, _, part in slices])
        for (number, offset, _), places in zip(slices, answers, strict=True):
            found[number].update((offset + begin, offset + end, entity.lower()) for begin, end, entity in places)
        return [tuple(sorted(places)) for places in found]

    def _asked(self, texts: Sequence[str]) -> list[list[tuple[int, int, str]]]:
        line = json.dumps({"texts": texts})
        try:
            answer = self._told(self._running(), line, self.options.seconds)
        except _Ended:  # that may have been about what it was asked before, or nobody's fault
            answer = self._told(self._running(), line, self.options.seconds)
        if "found" not in answer:
            raise CannotRedact(f"Presidio failed: {answer.get('failed')}")
        found: list[list[tuple[int, int, str]]] = answer["found"]
        return found

    def _running(self) -> "subprocess.Popen[str]":
        """Return the process once it is ready.

        Raises:
            CannotRedact: it does not become ready.

        """
        if self._closed:
            raise CannotRedact("Presidio's process has ended with the office")
        if self._process is not None and self._process.poll() is None:
            return self._process
        if self._rests is not None and self._monotonic() < self._rests[0]:
            raise CannotRedact(self._rests[1])
        self._end()
        try:
            process = self._process = self._begun()
            answer = self._told(process, "", START_SECONDS)
        except (CannotRedact, OSError) as error:
            raise self._resting(f"Presidio could not be started: {error}") from error
        if "ready" not in answer:
            self._end()
            raise self._resting(f"Presidio could not be started: {answer.get('failed')}")
        self._rests = None
        return process

    def _begun(self) -> "subprocess.Popen[str]":
        told = {name: value for name, value in asdict(self.options).items() if name in {"models", "entities", "score", "memory"}}
        return subprocess.Popen(  # noqa: S603 - our own script, and what the settings say as an argument
            [*self._command, json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what is pressed in a terminal is for us: calls that were begun are recorded first
            env={name: os.environ[name] for name in _KEPT if name in os.environ} | _ONE_THREAD,
            text=True,
            encoding="ascii",
        )

    def _resting(self, why: str) -> CannotRedact:
        self._rests = (self._monotonic() + REST_SECONDS, why)
        return CannotRedact(why)

    def _told(self, process: "subprocess.Popen[str]", line: str, seconds: float) -> Any:
        """Tell the process a line, if there is one, and return its answer; one that does not answer in time is ended."""
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            return _answer(process, line)
        except (OSError, ValueError) as error:
            self._end()
            if late.is_set():
                raise CannotRedact(f"Presidio took longer than {seconds:g} s") from error
            raise _Ended("Presidio's process ended: perhaps redaction.presidio.memory_mb is too little") from error
        finally:
            timer.cancel()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)


def _answer(process: "subprocess.Popen[str]", line: str) -> Any:
    """Raise ValueError where there is no answer."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return json.loads(process.stdout.readline())


def _close(pipe: Any) -> None:
    try:
        pipe.close()
    except OSError:  # what was not written yet has nobody to read it
        return


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _slices(text: str) -> Iterator[tuple[int, str]]:
    """Yield the parts of a text that are looked through, each with its place: without media, and each of a bounded length."""
    for offset, part in without_media(text):
        for begin in range(0, max(len(part) - OVERLAP, 1), SLICE - OVERLAP):
            yield offset + begin, part[begin : begin + SLICE]

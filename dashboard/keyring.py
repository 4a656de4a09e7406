"""All keys of an installation: those that the settings define, which only the file can change, and those in the store.

The gate reads them from a file, which is written whole after each change, and now and then in case another office changed something.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dashboard.published import Published
from domain.keys import ApiKey
from domain.spans import Span
from storage.keyring import load_keys, save_keys
from storage.keys import KeyStore

# What the ids of keys begin with that pass through; the fingerprint follows.
PASS_THROUGH = "pt-"  # noqa: S105 - not a password


class KeyRing:
    """Keys, and the file that the gate reads. Its methods wait, and may be called from any thread."""

    def __init__(self, store: KeyStore, own: Sequence[ApiKey], path: Path) -> None:
        """Take the keys in `store` beside the settings' `own` ones, and write them to the file at `path`."""
        self.store = store
        self._own = {key.name: key for key in own}
        self._file = Published[list[ApiKey]](path, save_keys)

    def from_settings(self, name: str) -> ApiKey | None:
        """Return the settings' key of this name, if there is one."""
        return self._own.get(name)

    def all(self) -> list[ApiKey]:
        """Return every key.

        Raises:
            StoreUnavailable: the store is away.

        """
        return [*self._own.values(), *(key for key in self.store.list() if key.name not in self._own)]

    def publish(self) -> None:
        """Write the file, if what is in it has changed.

        Raises:
            StoreUnavailable: the store is away; the file stays as it was.
            OSError: it cannot be written.

        """
        self._file.publish(lambda: _for_gate(self.all()))

    def publish_without_store(self) -> None:
        """Write the settings' keys as they are now, and those of the store as they were when it was last there.

        Raises:
            OSError: the file cannot be written.

        """
        self._file.publish(lambda: _for_gate([*self._own.values(), *self._kept()]))

    def _kept(self) -> list[ApiKey]:
        """Return the keys of the store as they were last written."""
        try:
            return [key for key in load_keys(self._file.path) if key.origin == "database" and key.name not in self._own]
        except ValueError:
            return []


def _for_gate(keys: Iterable[ApiKey]) -> list[ApiKey]:
    # When a key was last used is not the gate's business, and would make it read the file again and again.
    return [replace(key, last_used_at=None) for key in keys if key.kind == "managed"]


class KeysInUse:
    """Knows which keys calls were made with: a pass-through credential gets a record at first sight, any key the time of its last use."""

    def __init__(self, store: KeyStore) -> None:
        """Note in `store`."""
        self._store = store
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}
        self._fresh: dict[str, tuple[ApiKey, float]] = {}

    def see(self, spans: Iterable[Span]) -> None:
        """Remember the keys of `spans`, in memory only."""
        with self._lock:
            for span in spans:
                at = span.started_at / 1e9
                self._used[span.key] = max(at, self._used.get(span.key, 0.0))
                if span.key.startswith(PASS_THROUGH) and span.key not in self._known:
                    self._fresh[span.key] = (
                        ApiKey(span.key, span.key_name, span.key.removeprefix(PASS_THROUGH), "pass_through", span.project),
                        at,
                    )

    def note(self) -> None:
        """Write down what was remembered.

        Raises:
            StoreUnavailable: the store is away; what was remembered is kept until it is back.

        """
        with self._lock:
            fresh, used = dict(self._fresh), dict(self._used)
        for key, at in fresh.values():
            self._store.remember_pass_through(key, at)
        if used:
            self._store.used(used)
        with self._lock:
            self._known.update(fresh)
            self._fresh = {name: key for name, key in self._fresh.items() if name not in fresh}
            self._used = {name: at for name, at in self._used.items() if at > used.get(name, 0.0)}

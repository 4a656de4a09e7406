"""Windows of load, and what each cost: nginx, the target and nginx again, back to back, so that neighbours weigh on both alike."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.gateway import KEY, Faregate
from bench.processes import Gone, Tree, real_time, threads_of
from bench.tools import LOAD_CPU, PROXY_CPU, Address, Load, LoadFailed, Mock, Nginx, Work

PATIENCE = 90.0


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of one call or chunk, in microseconds: of nginx (None without it), and of each part of Faregate."""

    nginx: float | None
    parts: Mapping[str, float]

    @property
    def tree(self) -> float:
        """What the call cost in all."""
        return sum(self.parts.values())

    def times_nginx(self, *parts: str) -> float | None:
        """Return how many times nginx's cost some parts have; all of them, if none is named."""
        own = sum(self.parts[part] for part in parts) if parts else self.tree
        return own / self.nginx if self.nginx else None

    def detail(self) -> str:
        """Return the absolute values."""
        parts = ", ".join(f"{name} {value:.1f}" for name, value in self.parts.items() if name != "supervisor")
        return f"µs: {parts}" + (f"; nginx {self.nginx:.1f}" if self.nginx else "")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round cost, and what the load generator measured in it: through Faregate, and through nginx before and after."""

    cost: Cost
    own: dict[str, Any]
    nginx: list[dict[str, Any]]


def middle(rounds: list[Round]) -> Cost:
    """Return the cost of the round whose whole cost beside nginx is the middle one."""
    ordered = sorted((one.cost for one in rounds), key=lambda cost: cost.times_nginx() or cost.tree)
    return ordered[len(ordered) // 2]


@dataclass(slots=True)
class Bench:
    """Everything that a scenario needs. `made` counts the calls that went through Faregate, to be compared with what it recorded."""

    mock: Mock
    load: Load
    nginx: Nginx | None
    rounds: int
    seconds: float
    made: int = 0
    troubles: list[str] = field(default_factory=list)

    @property
    def thorough(self) -> bool:
        """Whether there is time for what is only for information."""
        return self.rounds > 1

    def call(self, faregate: Faregate, work: Work, upstream: str | None = None, key: str = KEY) -> dict[str, Any]:
        """Send calls through Faregate."""
        result = self.load.run(faregate.address(upstream, key), work)
        self.made += result["calls"]
        return result

    def compare(
        self, faregate: Faregate, work: Work, *, upstream: str | None = None, key: str = KEY, secure: bool = False
    ) -> list[Round]:
        """Return what a call (or a chunk) costs, round by round."""
        self.call(faregate, Work(0.3, work.connections, None, work.chunks), upstream, key)
        faregate.tree.wait_until_quiet()
        rounds = []
        for _ in range(self.rounds):
            before = self._nginx_window(work, secure=secure)
            parts, own = self._our_window(faregate, faregate.address(upstream, key), work)
            self.made += own["calls"]
            faregate.check()
            windows = [*before, *self._nginx_window(work, secure=secure)]
            costs = [sum(parts.values()) for parts, _ in windows]
            nginx = sum(costs) / len(costs) if costs else None
            rounds.append(Round(Cost(nginx, parts), own, [result for _, result in windows]))
        return rounds

    def _our_window(self, faregate: Faregate, address: Address, work: Work) -> tuple[dict[str, float], dict[str, Any]]:
        try:
            return self._window(faregate.tree, address, work)
        except LoadFailed as error:
            raise LoadFailed(f"through Faregate: {error}; it said: {faregate.said()}") from error

    def _nginx_window(self, work: Work, *, secure: bool) -> list[tuple[dict[str, float], dict[str, Any]]]:
        if self.nginx is None:
            return []
        address = Address(self.nginx.secure if secure else self.nginx.plain)
        try:
            return [self._window(self.nginx.tree, address, work)]
        except LoadFailed as error:
            raise LoadFailed(f"through nginx: {error}; it said: {self.nginx.said()}") from error

    def _window(self, tree: Tree, address: Address, work: Work) -> tuple[dict[str, float], dict[str, Any]]:
        before = tree.cpu()
        result = self.load.run(address, work)
        loaded = time.monotonic()
        if not tree.wait_until_quiet(PATIENCE):
            self.troubles.append(f"a tree did not become quiet within {PATIENCE:.0f} s")
        after, waited = tree.cpu(), time.monotonic() - loaded
        count = result["chunks"] if work.chunks else result["calls"]
        # What it does without any call is not what calls cost, however long it took to be quiet.
        return {part: (after[part] - before[part] - tree.idle_parts[part] * waited) * 1e6 / count for part in after}, result

    @contextlib.contextmanager
    def undisturbed(self, faregate: Faregate) -> Iterator[None]:
        """Let gate, nginx, mock and load run before the machine's other work meanwhile. The office stays as it is."""
        trees = [] if self.nginx is None else [self.nginx.tree, self.nginx.front_tree]
        pids = [faregate.tree.parts["gate"], self.mock.process.pid, *(pid for tree in trees for pid in tree.parts.values())]
        self.load.real_time = real_time(pids, on=True)
        if not self.load.real_time and "no real-time" not in " ".join(self.troubles):
            self.troubles.append("no real-time priority (not root): other work on this machine shows in the latencies")
        try:
            yield
        finally:
            self.load.real_time = False
            with contextlib.suppress(Gone):
                real_time(pids, on=False)


@contextlib.contextmanager
def office_apart(faregate: Faregate) -> Iterator[None]:
    """Have the office on the other CPU meanwhile, so that the gate has one of its own."""
    _place(faregate.tree.parts["office"], LOAD_CPU)
    try:
        yield
    finally:
        _place(faregate.tree.parts["office"], PROXY_CPU)


def _place(pid: int, cpu: int) -> None:
    for thread in threads_of(pid):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(thread, {cpu})


def percentile(samples: list[float], part: float) -> float:
    """Return the sample below which `part` of them lie."""
    ordered = sorted(samples)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]

"""What an app notices of sick destinations: the gate's latency beside three that hang, refuse and crawl, and beside three that are well, in turn.

As for the other latencies, the gates run before the machine's other work; the offices do not.
"""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import delivery
from bench.gateway import Faregate, running, settings_text
from bench.processes import Gone, real_time
from bench.tools import Work
from bench.windows import Bench, percentile

WARM_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Beside:
    """The p99 of calls in microseconds: the middle one of some windows. `samples` is how many calls each of them is of."""

    well: float
    sick: float
    samples: int


def gate_beside_sick(bench: Bench) -> Beside:
    """Measure two gateways in turn, so that neighbours weigh on both alike: each owes all calls to four destinations, three of which are sick at one of them."""
    work = Work(bench.seconds + 1, 8, 100, samples=True)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faregate-bench-")))
        urls = {kind: stack.enter_context(delivery.platform(kind)) for kind in ("well", *delivery.SICK)}
        well = stack.enter_context(_gateway(folder / "well", bench, dict.fromkeys(urls, urls["well"])))
        sick = stack.enter_context(_gateway(folder / "sick", bench, urls))
        for gateway in (well, sick):
            bench.load.run(gateway.address(), Work(WARM_SECONDS, 8, 100))
        stack.enter_context(_before_others(bench, [well, sick]))
        rounds = [[_p99(bench, gateway, work) for gateway in (well, sick)] for _ in range(2 * bench.rounds + 1)]
        for gateway in (well, sick):
            gateway.check()
    return Beside(_middle(row[0] for row in rounds), _middle(row[1] for row in rounds), int(100 * work.seconds))


def _gateway(folder: Path, bench: Bench, urls: Mapping[str, str]) -> contextlib.AbstractContextManager[Faregate]:
    tables = [f'[destinations.{name}]\ntype = "otlp"\nurl = "{url}"\nallow_private = true\n' for name, url in urls.items()]
    return running(folder, "\n".join([settings_text(bench.mock.port, secure=None), *tables]))


@contextlib.contextmanager
def _before_others(bench: Bench, gateways: Iterable[Faregate]) -> Iterator[None]:
    pids = [bench.mock.process.pid, *(gateway.tree.parts["gate"] for gateway in gateways)]
    bench.load.real_time = real_time(pids, on=True)
    try:
        yield
    finally:
        bench.load.real_time = False
        with contextlib.suppress(Gone):
            real_time(pids, on=False)


def _p99(bench: Bench, gateway: Faregate, work: Work) -> float:
    samples: list[float] = bench.load.run(gateway.address(), work)["latency_us_all"]
    return percentile(samples, 0.99)


def _middle(values: Iterable[float]) -> float:
    return float(median(values))

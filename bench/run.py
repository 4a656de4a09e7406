"""`make bench`: what Faregate costs, in ratios to nginx at the same moment. ARGS="--quick" takes 4 minutes instead of 10."""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench import scenarios
from bench.figures import Figure, table
from bench.gateway import APP, ROOT, Faregate, running, settings_text
from bench.processes import Gone, interrupt_quietly
from bench.tools import Load, LoadFailed, Missing, Mock, Nginx, Work
from bench.windows import Bench

Scenario = Callable[[Bench, Faregate], Iterator[Figure]]
SLOPE_CALLS, QUICK_SLOPE_CALLS = 100_000, 20_000
# On a gateway that has done nothing yet, in this order; then what takes any.
# Starting leaves things to do: what they cost is not what calls cost.
SETTLES_WITHIN = 10.0
FRESH: dict[str, Scenario] = {"idle": scenarios.idle, "streams": scenarios.open_streams}
USUAL: dict[str, Scenario] = {
    "plain": scenarios.plain,
    "burst": scenarios.burst,
    "https": scenarios.secure,
    "paced": scenarios.paced,
    "latency": scenarios.latency,
    "throughput": scenarios.throughput,
    "budget": scenarios.budget,
    "pricing": scenarios.pricing,
    "routes": scenarios.routes,
    "delivery": scenarios.delivering,
    "drain": scenarios.draining,
    "lag": scenarios.lagging,
}
NAMES = ("start", *FRESH, *USUAL, "slope", "off")


def main() -> None:
    """Measure, print the table, and end with 1 if a goal was missed or a figure could not be had."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each: about 4 minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(NAMES)}")
    asked = parser.parse_args()
    only = frozenset(asked.only.split(",")) if asked.only else frozenset(NAMES)
    if not only <= frozenset(NAMES):
        parser.error(f"--only knows {', '.join(NAMES)}")
    interrupt_quietly()
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder:
        try:
            figures, troubles = measured(Path(folder), quick=asked.quick, only=only)
        except Missing as missing:
            sys.exit(str(missing))
    print(f"\n{table(figures)}")
    for trouble in troubles:
        print(f"Note: {trouble}")
    if asked.json:
        asked.json.write_text(json.dumps({"figures": [figure.as_json() for figure in figures], "notes": troubles}, indent=1))
    sys.exit(any(figure.reached is False or figure.value is None for figure in figures))


def measured(folder: Path, *, quick: bool, only: frozenset[str]) -> tuple[list[Figure], list[str]]:
    """Return every figure, and what was in the way."""
    with contextlib.ExitStack() as stack:
        mock = Mock(folder)
        stack.callback(mock.close)
        bench = Bench(mock, Load(folder), None, rounds=1 if quick else 3, seconds=1.5 if quick else 3)
        try:
            bench.nginx = Nginx(folder, mock.port)
            stack.callback(bench.nginx.close)
        except Missing as missing:
            bench.troubles.append(str(missing))
        bench.troubles.append(
            "as it is in this checkout: interpreted" if APP == ROOT else "what every call goes through is compiled"
        )
        return list(_figures(bench, folder, quick=quick, only=only)), bench.troubles


def _figures(bench: Bench, folder: Path, *, quick: bool, only: frozenset[str]) -> Iterator[Figure]:
    secure = None if bench.nginx is None else (bench.nginx.front, bench.nginx.certificate)
    settings = settings_text(bench.mock.port, secure=secure)
    if "start" in only:
        yield from _safely("start", lambda: scenarios.starting(folder, settings, 1 if quick else 3))
    slope: Scenario = partial(scenarios.slope, calls=QUICK_SLOPE_CALLS if quick else SLOPE_CALLS)
    wanted = {name: scenario for name, scenario in {**FRESH, **USUAL, "slope": slope}.items() if name in only}
    if secure is None:
        wanted.pop("https", None)
    if wanted:
        with running(folder / "usual", settings) as faregate:
            yield from _all_of(wanted, bench, faregate)
    if "off" in only:
        without = settings_text(bench.mock.port, secure=secure, barrier="off")
        with running(folder / "off", without) as faregate:
            bench.made = 0
            yield from _all_of({"off": scenarios.plain_without_barrier}, bench, faregate)


def _all_of(wanted: dict[str, Scenario], bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    faregate.tree.wait_until_quiet(SETTLES_WITHIN)
    faregate.tree.measure_idle(3)
    for name, scenario in wanted.items():
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        if name not in FRESH:
            yield from _safely("warm-up", partial(_warmed_up, bench, faregate))
        yield from _safely(name, partial(scenario, bench, faregate))
        faregate.find_again()
    yield from _safely("recorded", partial(scenarios.everything_recorded, bench, faregate))


def _warmed_up(bench: Bench, faregate: Faregate) -> Iterator[Figure]:
    bench.call(faregate, Work(10, calls=2000))
    yield from ()


def _safely(name: str, figures: Callable[[], Iterator[Figure]]) -> Iterator[Figure]:
    """Give the figures of a scenario; if it fails, one figure that says so, and the others are measured all the same."""
    try:
        yield from figures()
    except (Gone, LoadFailed) as error:
        yield Figure(name, None, note=" ".join(str(error).split())[-300:])


if __name__ == "__main__":
    main()

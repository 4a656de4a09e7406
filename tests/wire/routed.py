"""A gate with routes: each case has two upstreams of its own, the first behind a network that misbehaves."""

from pathlib import Path

from domain.prices import Override
from pricing.published import FILE, published_text
from tests.harness.client import Answer, RawClient
from tests.harness.compare import request
from tests.harness.gate import Gate, free_port
from tests.wire.budgets import NANO, PRICES, chat
from tests.wire.budgets import prepare as prepare_budgets
from tests.wire.settings import MANAGED, PATIENT, SERVER, upstream_table

# Each case has a breaker of its own, and is told by a label in the path.
CASES = (
    "refuse",
    "reset-0",
    "reset-half-head",
    "reset-body",
    "head-alone",
    "swallow",
    "half-close",
    "half-close-body",
    "drip",
    "latency",
    "breaker",
    "upload",
    "renamed",
    "stream",
    "late",
    "kept",
    "stall-head",
    "stall-body",
    "counted",
)
# What the first upstream may take, where that is what ends its try. Its head is never waited for on a busy machine where the answer matters.
HASTY = {
    **dict.fromkeys(("swallow", "late", "stall-head", "counted"), 'connect = "5s", first_byte = "1s", idle = "30s"'),
    "stall-body": 'connect = "5s", first_byte = "30s", idle = "1s"',
}
MODELS = {"renamed": "/m-there", "counted": "/m-dear"}
EXTRA = """
[[routes]]
name = "denied"
when = 'tags.case == "denied"'
deny = "Model m is switched off. Use n."

[[routes]]
name = "again"
when = 'tags.case == "again"'
try = ["again"]
retries = { statuses = [503], times = 2, backoff = "2ms", longest = "2s" }

[[routes]]
name = "again-later"
when = 'tags.case == "again-later"'
try = ["again-later"]
retries = { times = 1, backoff = "2ms", longest = "1s" }

[[routes]]
name = "hasty"
when = 'tags.case == "hasty"'
timeout = { first_byte = "300ms" }

[[routes]]
name = "split"
when = 'tags.case == "split"'
split = { a = 3, b = 1 }

[[routes]]
name = "mirrored"
when = 'tags.case == "mirrored"'
try = ["a"]
mirror = { to = "b/m-eval" }

[[routes]]
name = "mirrored-slow"
when = 'tags.case == "mirrored-slow"'
try = ["a"]
mirror = { to = "b" }

[[routes]]
name = "mirrored-capped"
when = 'tags.case == "mirrored-capped"'
try = ["a"]
mirror = { to = "b", budget = "0.0000025/day" }

[[routes]]
name = "keys-rotate"
when = 'tags.case == "keys-rotate"'
try = ["rotating", "b"]

[[routes]]
name = "elsewhere"
when = 'tags.case == "elsewhere"'
try = ["openai", "b"]

[[routes]]
name = "upload-gone"
when = 'tags.case == "upload-gone"'
try = ["gone", "b"]

[[routes]]
name = "counted-gone"
when = 'tags.case == "counted-gone"'
try = ["gone", "b/m-dear"]

[[routes]]
name = "session"
when = 'tags.case == "session"'
try = ["gone", "b/m-live"]

[[routes]]
name = "dearer"
when = 'tags.case == "dearer"'
try = ["a", "b/m-dear"]
"""


def for_routes(chaos: int, first: int, second: int) -> str:
    """Return the configuration: `chaos`, `first` and `second` are ports."""
    tables = [upstream_table("openai", first), upstream_table("a", first), upstream_table("b", second)]
    tables += [upstream_table("gone", free_port()), upstream_table("again", first), upstream_table("again-later", first)]
    tables.append(upstream_table("rotating", first, keys=("sk-" + "one", "sk-" + "two", "sk-" + "three")))
    routes = []
    for case in CASES:
        tables.append(upstream_table(f"x-{case}", chaos, timeout=HASTY.get(case, PATIENT)))
        tables.append(upstream_table(f"y-{case}", second))
        model = MODELS.get(case, "")
        routes.append(f'[[routes]]\nname = "{case}"\nwhen = \'tags.case == "{case}"\'\ntry = ["x-{case}", "y-{case}{model}"]\n')
    keys = {"ci": MANAGED, "counted": COUNTED, "plenty": PLENTY}
    limits = {"counted": "0.0000200", "plenty": "1"}
    tables += [f'[keys.{name}]\nsecret = "{secret}"\n' for name, secret in keys.items()]
    tables += [
        f'[[budgets]]\nscope = "key:{name}"\nlimit_usd = "{limit}"\nwindow = "total"\nmode = "strict"\n'
        for name, limit in limits.items()
    ]
    return SERVER + "".join(tables) + "".join(routes) + EXTRA


COUNTED = "fg-" + "counted-key-of-the-tests-of-routes-01"
PLENTY = "fg-" + "another-key-of-the-tests-of-routes-01"


def asked(
    case: str, body: bytes | None = None, *, key: str = MANAGED, headers: bytes = b"", path: str = "/v1/chat/completions"
) -> bytes:
    """Return a call of a case."""
    target = f"/@tag.case={case}{path}".encode()
    return request(b"POST", target, chat() if body is None else body, headers=headers, credential=b"Bearer " + key.encode())


def call(gate: Gate, case: str, body: bytes | None = None, **fields: object) -> Answer:
    """Make a call of a case, on a connection of its own."""
    with RawClient(gate.address) as client:
        client.send(asked(case, body, **fields))
        return client.answer()


def prepare(data: Path) -> None:
    """Write prices, the dear model among them, and make an empty ledger, as an office does; none runs here."""
    prepare_budgets(data)
    dear = Override("dear", {"input": 10 * NANO, "output": 20 * NANO}, model="m-dear")
    (data / FILE).write_bytes(published_text(None, (*PRICES, dear)))

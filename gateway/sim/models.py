"""The simulated models, and the options in their names: `slow?ttft=800&tps=20`."""

from dataclasses import dataclass
from urllib.parse import parse_qsl

NAMES = ("echo", "chat", "tools", "slow", "error", "loop")

_SHARED = {"ttft", "tps", "tokens"}
_OPTIONS: dict[str, set[str]] = dict.fromkeys(NAMES, _SHARED) | {"error": _SHARED | {"code", "rate"}}
_DEFAULTS: dict[str, dict[str, float]] = {"slow": {"ttft": 800, "tps": 20}, "error": {"code": 500, "rate": 1.0}}
_MOST = {"ttft": 600_000.0, "tps": 1_000_000.0, "tokens": 100_000.0, "code": 599.0, "rate": 1.0}
_LEAST = {"ttft": 0.0, "tps": 0.001, "tokens": 1.0, "code": 400.0, "rate": 0.0}


class UnknownModel(Exception):
    """There is no simulated model of this name."""


class WrongOption(Exception):
    """The model has no such option, or the option cannot have this value."""


@dataclass(frozen=True, slots=True)
class Model:
    """One simulated model: its name without options, and what its options say.

    `ttft` is the time to the first token in seconds, `gap` the seconds from one token to the next.
    """

    name: str
    ttft: float = 0.0
    gap: float = 0.0
    tokens: int | None = None
    error_code: int | None = None
    error_rate: float = 0.0

    def takes(self, tokens: int) -> float:
        """Return how many seconds a whole answer of so many tokens takes."""
        return self.ttft + self.gap * tokens


def model_named(asked: str) -> Model:
    """Return the model that an app asked for.

    Raises:
        UnknownModel: nothing has this name.
        WrongOption: the part behind the question mark cannot be understood.
    """
    name, _, query = asked.removeprefix("sim/").partition("?")
    if name not in NAMES:
        raise UnknownModel(asked)
    values = _DEFAULTS.get(name, {}) | {
        option: _value(name, option, text) for option, text in parse_qsl(query, keep_blank_values=True)
    }
    return Model(
        name,
        ttft=values.get("ttft", 0) / 1000,
        gap=1 / values["tps"] if "tps" in values else 0.0,
        tokens=int(values["tokens"]) if "tokens" in values else None,
        error_code=int(values["code"]) if "code" in values else None,
        error_rate=values.get("rate", 0.0),
    )


def _value(name: str, option: str, text: str) -> float:
    if option not in _OPTIONS[name]:
        known = ", ".join(sorted(_OPTIONS[name]))
        raise WrongOption(f"The model `{name}` has no option `{option}`. It has: {known}.")
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not _LEAST[option] <= value <= _MOST[option]:
        raise WrongOption(f"The option `{option}` is a number from {_LEAST[option]:g} to {_MOST[option]:g}.")
    return value

"""`[redaction.presidio]`: names and places, found by a model in a process of its own."""

from collections.abc import Collection, Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from config.durations import Duration
from recorder.profiles import KINDS, PROFILES, Outside

# A destination's calls are prepared within 20 seconds each.
LONGEST = 15.0
_TAKEN = frozenset({*KINDS, *PROFILES, "user", "customer"})
_Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
_Entity = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,31}$")]


def _soon(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("it must be longer than 0s")
    if seconds > LONGEST:
        raise ValueError(f"it is at most {LONGEST:g}s: others wait meanwhile")
    return seconds


class PresidioSettings(BaseModel):
    """Names of people and places, which need a language model to find, by [Presidio](https://microsoft.github.io/presidio/): `pip install 'faregate[presidio]'`. Each of `entities` is a kind, in small letters (`person`), in the profiles `pii`, `gdpr` and `strict`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    models: dict[_Language, Annotated[str, Field(min_length=1)]] = Field(
        min_length=1,
        max_length=10,
        description='The spaCy model of each language, by its name or the folder that it is in: `{en = "en_core_web_lg"}`. Nothing is downloaded. A text is looked through in every one of them.',
    )
    entities: tuple[_Entity, ...] = Field(
        default=("PERSON", "LOCATION"), min_length=1, max_length=50, description="What is looked for, by Presidio's names."
    )
    score: float = Field(default=0.5, ge=0, le=1, description="How sure Presidio must be.")
    timeout: Annotated[Duration, AfterValidator(_soon)] = Field(
        default="10s",
        validate_default=True,
        description="How long looking through all texts of one call may take; at most 15 seconds.",
    )
    most_kb: int = Field(default=256, ge=1, le=8_192, description="The most text of one call, in KiB (1,024 characters).")
    memory_mb: int = Field(default=2_048, ge=256, description="The most memory (address space) of its process, in MiB.")

    def names(self) -> frozenset[str]:
        """Return the kinds that this defines."""
        return frozenset(entity.lower() for entity in self.entities)

    def wrong(self, own: Collection[str]) -> Iterator[str]:
        """Yield what is wrong with it beside the kinds that there are, `own` among them, each with its place below `redaction`."""
        for entity in self.entities:
            name = entity.lower()
            if name in own:
                yield f"own.{name}: this is also one of presidio.entities; give it another name"
            elif name in _TAKEN:
                yield f"presidio.entities: {entity} is a kind or a profile that is built in; take it out"

    def value(self) -> Outside:
        """Return what looks texts through."""
        # Here and not at the top: reading settings needs no recogniser.
        from recorder.presidio import Analyzer, Options  # noqa: PLC0415

        return Analyzer(
            Options(
                models=dict(self.models),
                entities=self.entities,
                score=self.score,
                seconds=float(self.timeout),
                characters=self.most_kb * 1024,
                memory=self.memory_mb * 1024 * 1024,
            )
        )

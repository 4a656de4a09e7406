"""Which kinds of things a redaction looks for, by the names that settings use: single kinds, groups of them, and presets.

Only names are here, so that reading settings needs no recogniser.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Literal, Protocol

Action = Literal["mask", "hash", "drop", "keep"]
Group = Literal["pii", "secrets", "national_id"]

SECRETS = ("private_key", "jwt", "api_key", "secret")
NATIONAL_IDS = (
    "us_ssn", "uk_nhs", "uk_nino", "de_tax_id", "fr_nir", "es_dni", "it_codice_fiscale", "nl_bsn", "pl_pesel", "br_cpf", "in_aadhaar", "ca_sin",
)  # fmt: skip
KINDS = (*SECRETS, "email", "iban", "card", *NATIONAL_IDS, "ip", "phone")
PERSONAL = tuple(kind for kind in KINDS if kind not in SECRETS)
# What a destination does not get unless somebody says so. Source: ../shared/reference/reliability.md section 6.
DEFAULT = ("secrets", "card", "iban", "national_id")
STRICT = "strict"
EVERYTHING = ("gdpr", STRICT)
PROFILES: Mapping[str, frozenset[str]] = {
    "secrets": frozenset(SECRETS),
    "national_id": frozenset(NATIONAL_IDS),
    "pii": frozenset(PERSONAL),
    "gdpr": frozenset(KINDS),
    STRICT: frozenset(KINDS),
}
# The profiles that a kind of the operator's own is in, by the group that its settings say.
_PROFILES_OF: Mapping[Group, tuple[str, ...]] = {
    "pii": ("pii", *EVERYTHING),
    "secrets": ("secrets", *EVERYTHING),
    "national_id": ("national_id", "pii", *EVERYTHING),
}
# Where national telephone numbers (without +) are understood unless settings say otherwise: ISO 3166 codes.
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "BR", "IN")


@dataclass(frozen=True, slots=True, eq=False)
class OwnKind:
    """A kind of the operator's own: words, and patterns (see `recorder.own_patterns`), both without regard to case unless `match_case`.

    With `whole_words`, a word is not found within a longer one. `confidence` is how sure it is that what is found is one. Two are equal where they
    are the same: comparing thousands of words takes time.
    """

    name: str
    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    group: Group = "pii"
    match_case: bool = False
    whole_words: bool = True
    confidence: float = 1.0


class Outside(Protocol):
    """Somebody else who looks texts through. `kinds` is what it finds."""

    @property
    def kinds(self) -> tuple[OwnKind, ...]:
        """What it finds, without words and patterns."""

    @property
    def names(self) -> frozenset[str]:
        """The names of its kinds."""

    def places(self, texts: Iterable[str], /) -> Mapping[str, Sequence[tuple[int, int, str]]]:
        """Return where something was found in each text; raise `recorder.redaction.CannotRedact` where they could not be looked through."""

    def start(self) -> None:
        """Make ready what takes long."""

    def close(self) -> None:
        """Take no more."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """What becomes of what is recognised, for all destinations and for capture.

    `kinds` are looked for where everything is to be redacted (capture, and destinations with `content = "redacted"`). `actions` are by kind; mask where there is none.
    """

    kinds: tuple[str, ...] = ("gdpr",)
    actions: Mapping[str, Action] = field(default_factory=dict)
    regions: tuple[str, ...] = REGIONS
    own: tuple[OwnKind, ...] = ()
    outside: Outside | None = None

    @property
    def more(self) -> tuple[OwnKind, ...]:
        """All kinds that there are beside our own."""
        return self.own if self.outside is None else (*self.own, *self.outside.kinds)

    def groups(self) -> dict[str, Group]:
        """Return the kinds that there are beside our own, and the group of each."""
        return {kind.name: kind.group for kind in self.more}


STANDARD = Redaction()


def unknown_name(names: Iterable[str], more: Iterable[str] = ()) -> str | None:
    """Return what is wrong with the first of `names` that is neither a kind nor a profile, with the nearest name; None if all are known.

    `more` are the kinds that the settings define.
    """
    known = [*PROFILES, *KINDS, *more]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            return f"there is no kind or profile {name!r}; {hint}"
    return None


def kinds_of(names: Iterable[str], more: Mapping[str, Group] = MappingProxyType({})) -> frozenset[str]:
    """Return the kinds that `names` stand for; `more` are those that the settings define.

    A name that is not known (written by another version, or taken out of the settings) stands for every kind.
    """
    kinds: set[str] = set()
    for name in names:
        if name in PROFILES:
            kinds |= PROFILES[name]
            kinds.update(kind for kind, group in more.items() if name in _PROFILES_OF[group])
        elif name in KINDS or name in more:
            kinds.add(name)
        else:
            kinds.update(KINDS, more)
    return frozenset(kinds)

"""Which kinds of things a redaction looks for, by the names that settings use: single kinds, groups of them, and presets.

Only names are here, so that reading settings needs no recogniser.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

Action = Literal["mask", "hash", "drop", "keep"]

SECRETS = ("private_key", "jwt", "api_key", "secret")
NATIONAL_IDS = (
    "us_ssn", "uk_nhs", "uk_nino", "de_tax_id", "fr_nir", "es_dni", "it_codice_fiscale", "nl_bsn", "pl_pesel", "br_cpf", "in_aadhaar", "ca_sin",
)  # fmt: skip
KINDS = (*SECRETS, "email", "iban", "card", *NATIONAL_IDS, "ip", "phone")
PERSONAL = tuple(kind for kind in KINDS if kind not in SECRETS)
# What a destination does not get unless somebody says so. Source: ../shared/reference/reliability.md section 6.
DEFAULT = ("secrets", "card", "iban", "national_id")
STRICT = "strict"
PROFILES: Mapping[str, frozenset[str]] = {
    "secrets": frozenset(SECRETS),
    "national_id": frozenset(NATIONAL_IDS),
    "pii": frozenset(PERSONAL),
    "gdpr": frozenset(KINDS),
    STRICT: frozenset(KINDS),
}
# Where national telephone numbers (without +) are understood unless settings say otherwise: ISO 3166 codes.
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "BR", "IN")


@dataclass(frozen=True, slots=True)
class Redaction:
    """What becomes of what is recognised, for all destinations and for capture.

    `kinds` are looked for where everything is to be redacted (capture, and destinations with `content = "redacted"`). `actions` are by kind; mask where there is none.
    """

    kinds: tuple[str, ...] = ("gdpr",)
    actions: Mapping[str, Action] = field(default_factory=dict)
    regions: tuple[str, ...] = REGIONS


STANDARD = Redaction()


def unknown_name(names: Iterable[str]) -> str | None:
    """Return what is wrong with the first of `names` that is neither a kind nor a profile, with the nearest name; None if all are known."""
    known = [*PROFILES, *KINDS]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            return f"there is no kind or profile {name!r}; {hint}"
    return None


def kinds_of(names: Iterable[str]) -> frozenset[str]:
    """Return the kinds that `names` stand for. A name that is not known (written by another version) stands for every kind."""
    kinds: set[str] = set()
    for name in names:
        kinds |= PROFILES.get(name) or ({name} if name in KINDS else frozenset(KINDS))
    return frozenset(kinds)

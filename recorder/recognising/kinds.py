"""The kinds of things that are recognised: how surely, and by what."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from recorder.profiles import OwnKind
from recorder.recognising.contacts import addresses, emails
from recorder.recognising.numbers import ibans, of_runs, with_letters
from recorder.recognising.own import finders_of
from recorder.recognising.telephones import finder
from recorder.recognising.tokens import jwts, keys, named, private_keys

Find = Callable[[str], Iterator[tuple[int, int, str]]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing. `confidence` is how often what is found is one, as far as we could measure: an estimate, not a promise."""

    name: str
    confidence: float
    is_known_by: str


# The first is the surest: where two kinds overlap, what is found is the one that stands first.
KINDS = (
    Kind("private_key", 1.0, "PEM block of a private key"),
    Kind("jwt", 0.99, "JSON Web Token: two parts of base64url JSON and a signature"),
    Kind("api_key", 0.98, "key of a known maker, by its beginning and length"),
    Kind("iban", 0.99, "country, length and remainder by 97 (ISO 13616)"),
    Kind("card", 0.98, "issuer's range, length and Luhn's check digit"),
    Kind("us_ssn", 0.95, "United States: 3-2-4 digits with dashes, or 9 digits after a word that announces it"),
    Kind("uk_nhs", 0.95, "United Kingdom, health service: modulus 11, and 3-3-4 groups or a word"),
    Kind("uk_nino", 0.95, "United Kingdom, national insurance: its letters and a suffix A to D"),
    Kind("de_tax_id", 0.95, "Germany: ISO 7064 MOD 11,10, a digit that repeats, and groups or a word"),
    Kind("fr_nir", 0.98, "France: sex, month and remainder by 97"),
    Kind("es_dni", 0.97, "Spain, DNI and NIE: the letter that the number gives"),
    Kind("it_codice_fiscale", 0.99, "Italy: its form and check letter"),
    Kind("nl_bsn", 0.95, "Netherlands: the elfproef, and a word"),
    Kind("pl_pesel", 0.97, "Poland: a date of birth, a check digit, and a word"),
    Kind("br_cpf", 0.98, "Brazil: two check digits, and its points and dash or a word"),
    Kind("in_aadhaar", 0.93, "India: Verhoeff's check digit, and 4-4-4 groups or a word"),
    Kind("ca_sin", 0.93, "Canada: Luhn's check digit, and 3-3-3 groups with dashes or a word"),
    Kind("email", 0.97, "address with a domain; not `git@host`, `user@host:path` or `icon@2x.png`"),
    Kind("secret", 0.85, "what stands behind `Bearer`, in a URL before the @, or behind a secret's name"),
    Kind("ip", 0.9, "IPv4 and IPv6 but loopback; not after `version` and its like"),
    Kind("phone", 0.85, "+ and a possible number; or valid in a configured region, and grouped or announced"),
)  # fmt: skip
RANKS = {kind.name: rank for rank, kind in enumerate(KINDS)}
CONFIDENCES = {kind.name: kind.confidence for kind in KINDS}
_NUMBERS = frozenset(
    ["card", "us_ssn", "uk_nhs", "de_tax_id", "fr_nir", "nl_bsn", "pl_pesel", "br_cpf", "in_aadhaar", "ca_sin"]
)  # fmt: skip
# Each with the kinds that it finds. Those of `ANYWHERE` look into base64 too: a token may be of it.
ANYWHERE: tuple[tuple[frozenset[str], Find], ...] = (
    (frozenset({"private_key"}), private_keys),
    (frozenset({"jwt"}), jwts),
    (frozenset({"secret"}), named),
)
IN_TEXT: tuple[tuple[frozenset[str], Find], ...] = (
    (frozenset({"api_key"}), keys),
    (frozenset({"iban"}), ibans),
    (_NUMBERS, of_runs),
    (frozenset({"es_dni", "uk_nino", "it_codice_fiscale"}), with_letters),
    (frozenset({"email"}), emails),
    (frozenset({"ip"}), addresses),
)


def finders(
    kinds: frozenset[str], regions: Iterable[str], own: Iterable[OwnKind] = ()
) -> tuple[tuple[Find, ...], tuple[Find, ...]]:
    """Return what finds `kinds`, those of the operator's `own` among them: in all of a text, and in what of it is not base64."""
    anywhere = tuple(find for found, find in ANYWHERE if found & kinds)
    in_text = [find for found, find in IN_TEXT if found & kinds]
    if "phone" in kinds:
        in_text.append(finder(tuple(regions)))
    in_text += [find for kind in own if kind.name in kinds for find in finders_of(kind)]
    return anywhere, tuple(in_text)

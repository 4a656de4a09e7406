"""Check digits of numbers that are given to people. Every function takes the digits (and letters) alone, without separators."""

from itertools import cycle

# Verhoeff's tables: multiplication in the dihedral group D5, and the permutation by place.
# Source: UIDAI, "Aadhaar number: a 12 digit number whose last digit is Verhoeff's".
_PRODUCT = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PLACE = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_CODICE_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ),
        strict=True,
    )
)


def luhn(digits: str) -> bool:
    """Return whether the last of `digits` is the check digit of the others (ISO/IEC 7812-1): cards, Canada's SIN."""
    total = sum(sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(reversed(digits), cycle((1, 2)), strict=False))
    return total % 10 == 0


def iban(letters: str) -> bool:
    """Return whether an IBAN's remainder by 97 is 1 (ISO 13616). `letters` are upper case."""
    return int("".join(str(int(letter, 36)) for letter in letters[4:] + letters[:4])) % 97 == 1


def verhoeff(digits: str) -> bool:
    """Return whether the last of `digits` is Verhoeff's check digit: India's Aadhaar."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_PRODUCT[check][int(_PLACE[place % 8][int(digit)])])
    return check == 0


def weighted(digits: str, weights: tuple[int, ...]) -> int:
    """Return the sum of the digits times their weights."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def nhs(digits: str) -> bool:
    """Return whether these ten digits are a number of the British health service (modulus 11)."""
    return (11 - weighted(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2))) % 11 == int(digits[9])


def bsn(digits: str) -> bool:
    """Return whether these nine digits are a Dutch citizen service number (the "elfproef")."""
    return weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def pesel(digits: str) -> bool:
    """Return whether these eleven digits are a Polish PESEL: a date of birth and a check digit."""
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    return 1 <= month <= 12 and 1 <= day <= 31 and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0  # noqa: PLR2004 - a date


def cpf(digits: str) -> bool:
    """Return whether these eleven digits are a Brazilian CPF: two check digits of modulus 11."""
    first = weighted(digits[:9], tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = weighted(digits[:10], tuple(range(11, 1, -1))) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}" and len(set(digits)) > 1


def tax_id(digits: str) -> bool:
    """Return whether these eleven digits are a German tax id: one of the first ten occurs twice or thrice, ISO 7064 MOD 11,10."""
    counts = sorted(digits[:10].count(digit) for digit in set(digits[:10]))
    if digits[0] == "0" or counts[-1] not in {2, 3} or counts.count(1) < len(counts) - 1:
        return False
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def nir(digits: str) -> bool:
    """Return whether these fifteen digits are a French social security number: sex, month, and 97 less the remainder."""
    month = int(digits[3:5])
    return digits[0] in "12" and (1 <= month <= 12 or month >= 20) and 97 - int(digits[:13]) % 97 == int(digits[13:])  # noqa: PLR2004 - months


def dni(number: str) -> bool:
    """Return whether the last letter of a Spanish DNI (12345678Z) or NIE (X1234567L) is the one that its number gives."""
    digits = str("XYZ".index(number[0])) + number[1:-1] if number[0] in "XYZ" else number[:-1]
    return _DNI[int(digits) % 23] == number[-1]


def codice(letters: str) -> bool:
    """Return whether the last of these sixteen letters is the check letter of an Italian codice fiscale."""
    total = sum(
        _CODICE_ODD[letter] if place % 2 == 0 else (int(letter) if letter.isdigit() else ord(letter) - ord("A"))
        for place, letter in enumerate(letters[:15])
    )
    return chr(ord("A") + total % 26) == letters[15]

"""Chance that can be repeated: the same seed and the same request give the same throws."""

import hashlib

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Dice:
    """Throws that follow from `key` and from nothing else."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._thrown = 0

    def bits(self) -> int:
        """Return the next 64 bits."""
        self._thrown += 1
        throw = hashlib.blake2b(self._thrown.to_bytes(8, "big"), key=self._key[:64], digest_size=8)
        return int.from_bytes(throw.digest(), "big")

    def below(self, bound: int) -> int:
        """Return a whole number from 0 up to, not including, `bound`."""
        return self.bits() % bound

    def unit(self) -> float:
        """Return a number from 0 up to, not including, 1."""
        return (self.bits() >> 11) / (1 << 53)

    def mark(self, length: int = 24) -> str:
        """Return letters and digits, as providers put them into ids."""
        return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in self._bytes(length))

    def hexadecimal(self, length: int = 32) -> str:
        """Return hex digits."""
        return self._bytes(length // 2 + 1).hex()[:length]

    def _bytes(self, length: int) -> bytes:
        self._thrown += 1
        return hashlib.shake_256(self._thrown.to_bytes(8, "big") + self._key).digest(length)


def digest_of(seed: int, *parts: bytes) -> bytes:
    """Return a key for `Dice` that follows from the seed and the parts, each kept apart from the next."""
    state = hashlib.blake2b(str(seed).encode(), digest_size=32)
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()

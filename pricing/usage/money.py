"""Amounts of money as providers write them, without a float's error."""

from decimal import Decimal, InvalidOperation
from typing import Any

PICO = 10**12
_MOST_USD = 9_000_000  # more would not fit a 64-bit column, and no call costs that


def pico_usd(value: Any) -> int | None:
    """Return US dollars as whole pico-dollars, rounded half to even, or None if `value` is no amount.

    `value` is best the text from the JSON. A float is taken as the shortest text that means it, which is the text it was read
    from up to 15 digits.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else value)
        if not amount.is_finite() or not 0 <= amount <= _MOST_USD:
            return None
        return int((amount * PICO).to_integral_value())
    except (InvalidOperation, ValueError):
        return None

"""Money: integers in micro-units (1e-6 of the currency) inside, decimal strings at the edge."""

from __future__ import annotations

from decimal import Decimal

MICRO = 1_000_000
HOURS_PER_MONTH = 730


def to_decimal_string(micro: int) -> str:
    """`6900` -> `"0.0069"`. At least two decimals, no more than needed, never an exponent."""
    sign = "-" if micro < 0 else ""
    whole, fraction = divmod(abs(micro), MICRO)
    digits = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{digits}"


def from_decimal_string(text: str) -> int:
    """`"0.0069"` -> `6900`. Raises ValueError for what is no exact number of micro-units."""
    try:
        value = Decimal(text) * MICRO
    except ArithmeticError as error:
        raise ValueError(f"{text!r} is no amount") from error
    if not value.is_finite() or value != value.to_integral_value():
        raise ValueError(f"{text!r} is no exact number of micro-units")
    return int(value)

"""Stripe's amounts are integers of a currency's minor unit; ours are micro-units.

From docs.stripe.com/currencies: fifteen currencies have no minor unit, five have thousandths of which the last digit
must be zero, and two (once with hundredths, today without) are given in hundredths that must be whole.
"""

from __future__ import annotations

from skypanel.kit.money import MICRO

WITHOUT = frozenset({
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF",
})  # fmt: skip
THOUSANDTHS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
WHOLE_HUNDREDTHS = frozenset({"ISK", "UGX"})


def minor(currency: str) -> int:
    """Micro-units of one minor unit."""
    if currency in WITHOUT:
        return MICRO
    return MICRO // 1000 if currency in THOUSANDTHS else MICRO // 100


def step(currency: str) -> int:
    """Micro-units that an amount must be a multiple of."""
    if currency in WHOLE_HUNDREDTHS:
        return MICRO
    return 10 * minor(currency) if currency in THOUSANDTHS else minor(currency)


def to_minor(micro: int, currency: str) -> int:
    """Raises ValueError for what cannot be charged exactly."""
    if micro <= 0 or micro % step(currency):
        raise ValueError(f"{micro} micro-units of {currency} cannot be charged exactly")
    return micro // minor(currency)


def from_minor(amount: int, currency: str) -> int:
    return amount * minor(currency)

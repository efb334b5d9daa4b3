"""Figures as people read them, the same on page, terminal and plot."""

import math
from typing import Final

NOTHING: Final = "—"


def duration(seconds: float | None) -> str:
    """0.00123 -> '1.2 ms', 2.5 -> '2.50 s', 75 -> '75.0 s', 7500 -> '7,500 s'."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 0.9995:
        return f"{1000 * seconds:.1f} ms" if seconds < 0.09995 else f"{1000 * seconds:.0f} ms"
    if seconds < 1000:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{seconds:,.0f} s"


def share(value: float | None) -> str:
    """0.9512 -> '95.1 %'."""
    return NOTHING if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"


def count(number: int, noun: str) -> str:
    """(1, 'device') -> '1 device', (2, 'device') -> '2 devices'."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

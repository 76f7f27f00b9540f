"""Counts in fixed bins. Merging adds integers: exact, in any order.

A share of 1 falls into one of 2^16 bins of equal width. A time falls into one of 64 bins an octave, so that a
quantile of it is right within 1.6 %. Both kinds of edges are binary fractions: nothing is rounded on the way.
"""

import math
from collections import Counter
from collections.abc import Iterable

SHARE_BINS = 1 << 16
OCTAVE_BINS = 64


def share_bin(value: float) -> int:
    """The bin of a value in [0, 1]."""
    return min(max(math.floor(value * SHARE_BINS), 0), SHARE_BINS - 1)


def share_of(number: int) -> float:
    """The middle of a bin."""
    return (2 * number + 1) / (2 * SHARE_BINS)


def time_bin(value: float) -> int:
    """The bin of a positive value."""
    mantissa, exponent = math.frexp(max(value, 1e-6))
    return exponent * OCTAVE_BINS + math.floor((mantissa - 0.5) * 2 * OCTAVE_BINS)


def time_of(number: int) -> float:
    """The middle of a bin."""
    exponent, part = divmod(number, OCTAVE_BINS)
    return math.ldexp(0.5 + (part + 0.5) / (2 * OCTAVE_BINS), exponent)


def quantiles(counts: Counter, shares: Iterable[float], value) -> list[float] | None:
    """The values below which these shares of all lie; `value` is of a bin. None where nothing was counted."""
    total = sum(counts.values())
    if total == 0:
        return None
    ranks = [max(1, math.ceil(share * total)) for share in shares]
    found, below = {}, 0
    for number in sorted(counts):
        below += counts[number]
        for rank in ranks:
            if rank <= below:
                found.setdefault(rank, value(number))
    return [found[rank] for rank in ranks]


def mean(counts: Counter) -> float | None:
    """Of shares, by the middles of their bins; the sum is one of integers."""
    total = sum(counts.values())
    if total == 0:
        return None
    return sum((2 * number + 1) * count for number, count in counts.items()) / (2 * SHARE_BINS * total)

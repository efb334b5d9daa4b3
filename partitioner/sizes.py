"""How many filters each part gets."""

from collections.abc import Sequence
from operator import index

from partitioner.errors import PartitionError

Sizes = tuple[int, ...]


def part_count(filters: int, parts: int) -> int:
    """`parts`, if so many can be made. Raises PartitionError."""
    parts = _whole(parts, "the number of parts")
    if parts < 1:
        raise PartitionError(f"cannot make {parts} parts: ask for at least 1")
    if parts > filters:
        raise PartitionError(f"cannot make {parts} parts of {filters} filters: ask for at most {filters}")
    return parts


def equal_sizes(filters: int, parts: int) -> Sizes:
    """Sizes that differ by at most 1, the larger ones first. Raises PartitionError."""
    base, larger = divmod(filters, part_count(filters, parts))
    return tuple(base + (part < larger) for part in range(parts))


def checked_sizes(filters: int, sizes: Sequence[int]) -> Sizes:
    """Target sizes that a user gave: each at least 1, C in sum. Raises PartitionError."""
    checked = tuple(_whole(size, "a part's size") for size in sizes)
    if not checked or min(checked) < 1:
        raise PartitionError(f"sizes {list(checked)}: give one size for each part, each at least 1")
    if sum(checked) != filters:
        raise PartitionError(
            f"sizes {list(checked)} sum to {sum(checked)}: make them sum to the graph's {filters} filters"
        )
    return checked


def apportion(total: int, sizes: Sizes) -> Sizes:
    """`total` <= sum(sizes) shared out in proportion to `sizes`, none above its size (largest remainders)."""
    whole = sum(sizes)
    shares = [total * size // whole for size in sizes]
    remainders = sorted(range(len(sizes)), key=lambda part: (-(total * sizes[part] % whole), part))
    for part in remainders[: total - sum(shares)]:
        shares[part] += 1
    return tuple(shares)


def _whole(value: int, what: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)
    except TypeError:
        raise PartitionError(f"{what} must be a whole number, not {value!r}") from None

"""The links of real clusters, in both directions alike, as the proxy plays them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fault_lab.proxy.toxics import Toxics

MEGABIT: Final = 1e6 / 8  # bytes


@dataclass(frozen=True, slots=True)
class Link:
    """why: where the figures are from."""

    toxics: Toxics
    why: str


LINKS: Final[Mapping[str, Link]] = {
    "ethernet": Link(
        Toxics(latency=0.0002, jitter=0.0001, bandwidth=940 * MEGABIT),
        "gigabit through one switch: 0.4 ms there and back, 940 Mbit/s of TCP payload",
    ),
    "wifi": Link(
        Toxics(latency=0.002, jitter=0.0015, bandwidth=40 * MEGABIT),
        "a shared 2.4 GHz channel in a house: a few ms there and back, 40 Mbit/s",
    ),
    "slow": Link(
        Toxics(latency=0.15, jitter=0.05, bandwidth=0.25 * MEGABIT),
        "a long-range radio bridge: 0.3 s there and back, 250 kbit/s",
    ),
}

"""What a proxy process is told of each link that it plays."""

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from fault_lab.control_file import build
from fault_lab.proxy.toxics import CLEAN, Toxics


@dataclass(frozen=True, slots=True)
class Flapping:
    """Cut for `down` seconds, then whole for `up` seconds, again and again."""

    up: float
    down: float

    def __post_init__(self) -> None:
        if not (0 < self.up < math.inf and 0 < self.down < math.inf):
            raise ValueError(
                f"up and down must be positive numbers of seconds, not {self.up} and {self.down}"
            )


@dataclass(frozen=True, slots=True)
class LinkState:
    """How a link is to be. enabled: whether it is there at all. resets: how often its connections have been
    broken so far; each increase breaks them once more.
    """

    upstream: Toxics = CLEAN
    downstream: Toxics = CLEAN
    enabled: bool = True
    flapping: Flapping | None = None
    resets: int = 0


SOUND: Final = LinkState()


def read_links(document: Any) -> dict[str, LinkState]:
    """By name, from the JSON object in a control file. Raises ValueError and TypeError."""
    if not isinstance(document, dict):
        raise ValueError("not an object of links by name")
    return {name: _read_link(link) for name, link in document.items()}


def _read_link(document: Any) -> LinkState:
    state = build(LinkState, document)
    flapping: Any = state.flapping
    if not isinstance(state.enabled, bool) or not isinstance(state.resets, int):
        raise ValueError("enabled is true or false, and resets is a whole number")
    return replace(
        state,
        upstream=_read_toxics(state.upstream),
        downstream=_read_toxics(state.downstream),
        flapping=None if flapping is None else build(Flapping, flapping),
    )


def _read_toxics(document: Any) -> Toxics:
    return document if document is CLEAN else build(Toxics, document)

"""How many bytes things are on the wire."""

from dataclasses import dataclass
from typing import Any, Final

from aggregator import effects, events

# Of any message: 52 bytes of TCP and IP, 14 of HTTP/2 and gRPC, and some 50 of its own ids and numbers.
OVERHEAD: Final = 120


@dataclass(frozen=True, slots=True)
class Sizes:
    """In bytes. image: of one. logits: of one student, for one image. files: by student."""

    image: int
    logits: int
    files: tuple[int, ...] = ()

    def of(self, message: Any) -> int:
        """A message as a stream carries it."""
        match message:
            case effects.SendWork() as work, _:
                return OVERHEAD + self.image * len(work.images)
            case events.Partial(logits=logits) if logits is not None:
                return OVERHEAD + self.logits * len(logits)
            case _:
                return OVERHEAD


TOY: Final = Sizes(image=4, logits=12)

"""How large messages may be."""

import math

from aggregator.conduct import Expectation
from aggregator.errors import SettingsError
from aggregator.settings import Settings
from bundle import Bundle

# A device takes no larger message.
LARGEST_MESSAGE = 64 * 2**20
# Requests that are a little too large are told so by us, not by gRPC.
SMALLEST_LIMIT = 2**20
HEADROOM = 2**16


def message_limit(bundle: Bundle, settings: Settings) -> int:
    """Bytes that one message from outside may have. Raises SettingsError when no batch fits into one."""
    rows = max(math.prod(bundle.manifest.input.shape), 4 * bundle.manifest.classes)
    largest = settings.max_batch * rows + HEADROOM
    if largest > LARGEST_MESSAGE:
        most = (LARGEST_MESSAGE - HEADROOM) // rows
        raise SettingsError(
            f"{settings.max_batch} images do not fit into one message: the largest batch is {most}"
        )
    return min(max(4 * largest, SMALLEST_LIMIT), LARGEST_MESSAGE)


def of_a_device(bundle: Bundle, settings: Settings) -> Expectation:
    """What its messages may be. While a bundle replaces another, it may be told to hold students of two."""
    manifest = bundle.manifest
    return Expectation(
        window=settings.window,
        answers=2 * len(manifest.students) + 2,
        bytes=4 * settings.max_batch * manifest.classes + HEADROOM,
    )

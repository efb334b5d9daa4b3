"""What a device does about another of its identity: a cloned SD card, a folder of certificates used twice."""

import logging
import math
import time
from typing import Final

from bundle.errors import StorageError
from device_node.backoff import Backoff
from device_node.state import StateFolder

log = logging.getLogger(__name__)

SHORT_SECONDS: Final = 30.0  # displaced twice within so long: there are two
ASIDE_SECONDS: Final = 300.0


class Displacement:
    """Left alone, the two would displace each other for ever."""

    def __init__(self, state: StateFolder, backoff: Backoff) -> None:
        self._state = state
        self._backoff = backoff
        self._latest = -math.inf

    def note(self, certificate: str | None) -> None:
        """The aggregator has ended the stream because the same device has joined again.

        certificate: the name in it, which is then the identity; None in plain text.
        """
        now = time.monotonic()
        again, self._latest = now - self._latest < SHORT_SECONDS, now
        if not again:
            return
        self._latest = -math.inf
        if certificate is None:
            self._become_another()
        else:
            self._backoff.hold_back(ASIDE_SECONDS)
            log.warning(
                "another device joins with the certificate of %s too, so this one steps aside for minutes: "
                "`nonn certs device NAME` makes a certificate for each",
                certificate,
            )

    def _become_another(self) -> None:
        former = self._state.device_id
        try:
            self._state.take_new_identity()
        except StorageError as error:
            log.warning("the new identity is not kept: %s", error)
        log.warning(
            "another device joins as %s too: was the state folder %s copied? This device is %s from now on",
            former[:8],
            self._state.path,
            self._state.device_id[:8],
        )

"""Waiting until the aggregator sees a device at work."""

import asyncio
import time
from typing import Final

from nonn.client import AsyncClient
from nonn.cluster_status import ClusterStatus, DeviceStatus
from nonn.deploy.certificates import folder_of
from nonn.deploy.errors import HostFailed
from nonn.deploy.inventory import Host, Inventory
from nonn.errors import NonnError

_LOOK_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 5.0


class NotReady(HostFailed):
    """The aggregator answers, and did not see the device at work within the time. str(): what it saw."""


async def wait_ready(inventory: Inventory, host: Host, since: float, seconds: float) -> DeviceStatus:
    """As the aggregator has it. since: time.monotonic() after which it must have been heard of.

    The device's own certificate asks, so that nobody needs another one. Raises NotReady, or NonnError when
    the aggregator does not answer.
    """
    async with _client(inventory, host) as client:
        deadline = time.monotonic() + seconds
        while True:
            trouble: NonnError | None = None
            seen = None
            try:
                status = await client.status(_ANSWER_SECONDS)
                seen = find(inventory, host, status)
            except NonnError as error:
                trouble = error
            heard = None if seen is None else time.monotonic() - seen.last_seen_seconds
            if seen is not None and heard is not None and is_ready(seen, heard, since):
                return seen
            if time.monotonic() + _LOOK_SECONDS > deadline:
                break
            await asyncio.sleep(_LOOK_SECONDS)
    if trouble is not None:
        raise trouble
    raise NotReady("the aggregator has not seen it" if seen is None else _describe(seen))


def is_ready(seen: DeviceStatus, heard: float, since: float) -> bool:
    """heard, since: on the same clock. What was heard before the restart was the process before.

    A device without students is not ready: the aggregator gives one to whoever can serve it, be it a replica.
    """
    return seen.state == "serving" and set(seen.assigned) == set(seen.serving) and heard > since


def find(inventory: Inventory, host: Host, status: ClusterStatus) -> DeviceStatus | None:
    """By its identity, which is its certificate's name, or by its name in plain text."""
    secure = inventory.certificates is not None
    return next((one for one in status.devices if host.name == (one.device_id if secure else one.name)), None)


async def check_aggregator(inventory: Inventory, host: Host) -> None:
    """Raises NonnError when no aggregator answers that knows the host's certificate."""
    async with _client(inventory, host) as client:
        await client.status(_ANSWER_SECONDS)


def _client(inventory: Inventory, host: Host) -> AsyncClient:
    if inventory.certificates is None:
        return AsyncClient(inventory.aggregator, insecure=True)
    return AsyncClient(inventory.aggregator, tls=folder_of(inventory.certificates, host.name))


def _describe(seen: DeviceStatus) -> str:
    why = seen.error
    if not why and seen.state == "idle":
        why = "no student fits what memory it offers: raise `memory` in the inventory"
    return f"the aggregator sees it {seen.state}" + (f" ({why})" if why else "")

"""One proxy that is kept as it is told to be."""

import asyncio

from fault_lab.proxy.control import SOUND, Flapping, LinkState
from fault_lab.proxy.proxy import Proxy


class Steering:
    """Belongs to the proxy's event loop."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._state = SOUND
        self._flapping: asyncio.Task[None] | None = None

    def obey(self, state: LinkState) -> None:
        """Does only what differs from before, so that it may be told again and again."""
        before, self._state = self._state, state
        if state.upstream != before.upstream:
            self._proxy.set(state.upstream, "upstream")
        if state.downstream != before.downstream:
            self._proxy.set(state.downstream, "downstream")
        if (state.enabled, state.flapping) != (before.enabled, before.flapping):
            self._open_or_cut(state)
        if state.resets > before.resets:
            self._proxy.reset_peer()

    def _open_or_cut(self, state: LinkState) -> None:
        if self._flapping is not None:
            self._flapping.cancel()
            self._flapping = None
        if not state.enabled:
            self._proxy.disable()
        elif state.flapping is not None:
            self._flapping = asyncio.create_task(self._flap(state.flapping))
        else:
            self._proxy.enable()

    async def _flap(self, flapping: Flapping) -> None:
        while True:
            self._proxy.disable()
            await asyncio.sleep(flapping.down)
            self._proxy.enable()
            await asyncio.sleep(flapping.up)

"""Runs the core on real time: feeds it events, carries out its effects, wakes it when it asks to be."""

import asyncio
import itertools
import logging
import math
import time
from typing import Any

import grpc
from numpy.typing import NDArray

from aggregator import effects, events, wire
from aggregator.core import Core
from aggregator.link import Link
from aggregator.model import Model
from aggregator.policy import Policy
from aggregator.preparing import Preparing
from aggregator.settings import Settings
from aggregator.status_message import status_message
from bundle import Bundle

# Seconds. Event loops round to whole milliseconds: shorter waits would ring early, again and again.
SHORTEST_WAIT = 0.001
# Between beats, and how late one is when this process has been held up: stopped, starved, frozen.
BEAT, HELD_UP = 0.1, 0.15

log = logging.getLogger("aggregator")


class Driver:
    """Belongs to one running event loop. Nothing in it waits but `ask` and `drained`."""

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        self.bundles = {bundle.manifest.id: bundle}  # all that devices may hold students of
        self.settings = settings
        self.core = Core(Model.of(bundle), settings)
        self.started = time.monotonic()
        self._links: dict[int, Link] = {}
        self._requests: dict[int, asyncio.Future[effects.Answer | effects.Refuse]] = {}
        self._reloads: dict[str, asyncio.Future[effects.Reloaded | effects.ReloadFailed]] = {}
        self._numbers = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._timer_due = math.inf
        self._drained: asyncio.Future[None] | None = None
        self._closing = False
        self._preparing = Preparing()
        self._last_beat = time.monotonic()
        self._next_beat = self._loop.call_later(BEAT, self._beat)

    def feed(self, *happened: events.Event) -> None:
        """All at once, in order."""
        now = time.monotonic()
        pause, self._last_beat = now - self._last_beat - BEAT, now
        if pause > HELD_UP:
            self._handle(now, events.Paused(pause))
        for event in happened:
            self._handle(now, event)
        if len(self.bundles) > 1:
            kept = self.core.bundle_ids | self._reloads.keys()
            self.bundles = {name: bundle for name, bundle in self.bundles.items() if name in kept}
        self._set_timer()
        if self._drained is not None and self.core.idle and not self._drained.done():
            self._drained.set_result(None)

    def _handle(self, now: float, event: events.Event) -> None:
        for effect in self.core.handle(now, event):
            self._execute(effect)

    def open_link(self, facts: events.DeviceFacts) -> Link:
        link = Link(next(self._numbers))
        self._links[link.number] = link
        self.feed(events.Joined(link.number, facts))
        return link

    def close_link(self, link: Link, reason: str) -> None:
        """Once its stream has ended, for whatever reason."""
        del self._links[link.number]
        self.feed(events.Gone(link.number, reason))

    def receive(self, link: Link, message: bytes) -> int:
        """How many answers it held, or 1 if it was another message of the protocol; 0 for anything else."""
        received = wire.read_device_message(link.number, message)
        self.feed(*received)
        return 0 if isinstance(received[0], events.Malformed) else len(received)

    @property
    def bundle(self) -> Bundle:
        """The one that is served."""
        return self.bundles[self.core.model.bundle_id]

    async def ask(
        self,
        images: NDArray[Any],
        remaining: float | None,
        *,
        strict: bool = False,
        bundle_id: str = "",
        policy: Policy | None = None,
    ) -> effects.Answer | effects.Refuse:
        """remaining: seconds until the caller's deadline. Cancelling takes the request back."""
        number = next(self._numbers)
        deadline = None if remaining is None else time.monotonic() + remaining
        future: asyncio.Future[effects.Answer | effects.Refuse] = self._loop.create_future()
        self._requests[number] = future
        try:
            self.feed(events.Predict(number, images, deadline, strict, bundle_id, policy))
            return await future
        finally:
            if self._requests.pop(number, None) is not None:
                self.feed(events.Cancelled(number))

    def find_student(self, sha256: str) -> bytes | None:
        """The ONNX file with this digest, of any bundle that devices may hold."""
        models = (bundle.find_model(sha256) for bundle in self.bundles.values())
        return next((model for model in models if model is not None), None)

    async def reload(self, bundle: Bundle) -> effects.Reloaded | effects.ReloadFailed:
        """Have the bundle take over. Whoever stops waiting for that does not stop it."""
        model = await asyncio.to_thread(Model.of, bundle)
        if model.bundle_id in self._reloads:
            return effects.ReloadFailed(model.bundle_id, "this bundle is being loaded already")
        future = self._reloads[model.bundle_id] = self._loop.create_future()
        self.bundles.setdefault(model.bundle_id, bundle)
        self.feed(events.Reload(model))
        return await asyncio.shield(future)

    async def drained(self) -> None:
        """Take no more requests; returns when every other one has been answered or refused."""
        self._drained = self._loop.create_future()
        self.feed(events.Drain())
        await self._drained

    def close(self) -> None:
        """End every device's stream, and the timer."""
        self._closing = True
        self._preparing.close()
        for link in self._links.values():
            link.close(grpc.StatusCode.UNAVAILABLE, "the aggregator is shutting down")
        self._next_beat.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def status(self, version: str) -> bytes:
        now = time.monotonic()
        state = self.core.status(now)
        return status_message(self.bundle, state, version, now - self.started, time.time())

    def _execute(self, effect: effects.Effect) -> None:
        now = time.monotonic()
        match effect:
            case effects.Answer(request) | effects.Refuse(request):
                future = self._requests.pop(request, None)
                if future is not None and not future.done():
                    future.set_result(effect)
            case effects.SendWork(links):
                message = wire.work(effect, now)
                for link in links:
                    self._send(link, message)
            case effects.Ping(link, sequence):
                self._send(link, wire.ping(sequence, now))
            case effects.Welcome(link):
                self._send(link, wire.welcome(self.settings, now))
            case effects.Assign(link, number, students):
                named = ((self.bundles[bundle], student) for bundle, student in students)
                self._send(link, wire.assignment(number, named, now))
            case effects.CloseLink(link, reason):
                if link in self._links:
                    self._links[link].close(grpc.StatusCode.ABORTED, reason)
            case effects.Prepare(_, students):
                self._preparing.ask(self.core.model.merger, students)
            case effects.Reloaded(bundle) | effects.ReloadFailed(bundle):
                self._conclude(bundle, effect)
            case effects.Note(text, warning):
                if not self._closing:  # that all devices are lost then is no news
                    log.log(logging.WARNING if warning else logging.INFO, "%s", text)

    def _conclude(self, bundle: str, outcome: effects.Reloaded | effects.ReloadFailed) -> None:
        future = self._reloads.pop(bundle)
        if not future.done():
            future.set_result(outcome)

    def _send(self, link: int, message: bytes) -> None:
        if link in self._links:
            self._links[link].send(message)

    def _set_timer(self) -> None:
        due = self.core.next_wakeup()
        if due is None or self._timer_due <= due:
            return  # a timer that rings early asks again
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_later(max(due - time.monotonic(), SHORTEST_WAIT), self._tick)

    def _beat(self) -> None:
        self._next_beat = self._loop.call_later(BEAT, self._beat)
        self.feed(events.Tick())

    def _tick(self) -> None:
        self._timer, self._timer_due = None, math.inf
        self.feed(events.Tick())

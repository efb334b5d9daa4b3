"""What every call passes before it is served: who is it, may it, and is it not too much?"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn

import grpc

from aggregator.conduct import Conversation, Expectation, Reputation
from aggregator.events import DeviceFacts
from aggregator.guard import Bucket, Call, Guard, Limit
from aggregator.link import Link
from aggregator.peers import Peer, Peers
from aggregator.refusal import CallRefused, refuse
from aggregator.turns import Shares, Turns
from protos.certificate import Role

log = logging.getLogger("aggregator")

StreamHandle = Callable[[Peer, Any], Awaitable[Any]]
RequestHandle = Callable[[bytes, Any], Awaitable[Any]]
GrpcHandle = Callable[[Any, Any], Awaitable[Any]]

ROLES: Final[Mapping[Call, frozenset[Role]]] = {
    Call.JOIN: frozenset({Role.DEVICE}),
    Call.FETCH: frozenset({Role.DEVICE}),
    Call.PREDICT: frozenset({Role.CLIENT, Role.OPERATOR}),
    # Whoever has a certificate: health checks of devices and of the aggregator itself ask for it.
    Call.STATUS: frozenset(Role),
    Call.OPERATION: frozenset({Role.OPERATOR}),
}
LOOK_SECONDS: Final = 1.0  # between looks at the list of certificates
RECEIVE_LOOKS: Final = 10  # while one request's bytes come in, once it is their turn
RECEIVE_BYTES: Final = 128 * 2**20  # of requests that are being received; a quarter of it for one peer
FEWEST_REQUESTS: Final = 16  # that one client may have under way, however short the queue is
RETRY_SECONDS: Final = 0.1  # what a client that has too much under way is told
# Whoever is refused at the gate when many are is kept waiting first.
FREE_REFUSALS, FREE_REFUSAL_RATE = 64.0, 32.0
STALL_SECONDS: Final = 2.0
MOST_STALLED: Final = 4096
COMPLAINTS, COMPLAINT_RATE = 32.0, 0.5  # lines in the log: at once, and a second for good


def limits(queue: int, students: int, *, certified: bool) -> dict[Call, Limit]:
    """Of one peer. A certificate is one device or client; an address may be a house full of them."""
    many = 1 if certified else 32
    return {
        Call.JOIN: Limit(open=8 * many, burst=16.0 * many, rate=1.0 * many),
        Call.FETCH: Limit(open=4 * many, burst=max(32.0, 4.0 * students) * many, rate=1.0 * many),
        Call.PREDICT: Limit(open=max(queue // 2, FEWEST_REQUESTS)),
        Call.STATUS: Limit(open=16 * many),
        Call.OPERATION: Limit(open=2),
    }


class Gate:
    """Wraps the handlers of one aggregator. largest_request: bytes that gRPC lets through as one message."""

    def __init__(
        self,
        peers: Peers,
        guard: Guard,
        expectation: Expectation,
        shares: Shares,
        largest_request: int,
    ) -> None:
        self.expectation = expectation
        self._peers = peers
        self._guard = guard
        self._reputation = Reputation()
        self._links: dict[Link, Peer] = {}
        turns = max(RECEIVE_BYTES // largest_request, 4)
        self._turns = Turns(turns, turns // 4)
        self._receiving: dict[Any, int] = {}  # by context: looks so far
        self._giving_up: set[asyncio.Task[None]] = set()
        self._shares = shares
        now = time.monotonic()
        self._refusals = Bucket(now, FREE_REFUSALS, FREE_REFUSAL_RATE)
        self._complaints = Bucket(now, COMPLAINTS, COMPLAINT_RATE)
        self._stalled = 0

    # ---- around handlers

    def stream(self, call: Call, handle: StreamHandle) -> GrpcHandle:
        """For a handler that reads its messages itself. It refuses by raising CallRefused."""

        async def run(_: Any, context: Any) -> Any:
            try:
                peer = self._enter(call, context)
            except CallRefused as error:
                await self._stall()
                await refuse(context, error)
            try:
                try:
                    return await handle(peer, context)
                except CallRefused as error:
                    refusal = error
                # Not within `except`, nor with a trace: either would keep what the peer has sent in memory.
                refusal.__traceback__ = refusal.__context__ = None
                if refusal.code is grpc.StatusCode.INVALID_ARGUMENT:
                    self._guard.blame(time.monotonic(), peer.key)
                await refuse(context, refusal)
            finally:
                self._guard.leave(peer.key, call)

        return run

    def request(self, call: Call, handle: RequestHandle) -> GrpcHandle:
        """For a handler of one request's bytes.

        For gRPC it is a stream too, of one message: nothing is received before the peer has been looked at.
        """

        async def run(peer: Peer, context: Any) -> Any:
            return await handle(await self._receive(peer, context), context)

        async def run_shared(peer: Peer, context: Any) -> Any:
            async with self._shares.of(peer.key):
                return await run(peer, context)

        # Downloads are as slow as whoever reads them; only requests compete for the devices.
        return self.stream(call, run_shared if call is Call.PREDICT else run)

    def _enter(self, call: Call, context: Any) -> Peer:
        peer = self._peers.check(context, ROLES[call])
        problem = self._guard.enter(time.monotonic(), peer.key, call)
        if problem is not None:
            raise CallRefused(grpc.StatusCode.RESOURCE_EXHAUSTED, problem, RETRY_SECONDS)
        return peer

    async def _receive(self, peer: Peer, context: Any) -> bytes:
        async with self._turns.of(peer.key):
            # `watch` ends a read that takes too long: a timeout for each would cost several times more.
            self._receiving[context] = 0
            try:
                data = await context.read()
            finally:
                del self._receiving[context]
        if data is grpc.aio.EOF:
            raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, "there is no request in this call")
        request: bytes = data
        return request

    def _give_up_slow_requests(self) -> None:
        """Looks are counted, not seconds: while this process is held up, nobody gets nearer to the end."""
        for context in self._receiving:
            self._receiving[context] += 1
            if self._receiving[context] == RECEIVE_LOOKS:
                task = asyncio.create_task(_give_up(context))
                self._giving_up.add(task)
                task.add_done_callback(self._giving_up.discard)

    async def _stall(self) -> None:
        """HTTP/2 bounds the streams of a connection: so this bounds the rate at which the refused return."""
        if not self._refusals.take(time.monotonic()) and self._stalled < MOST_STALLED:
            self._stalled += 1
            try:
                await asyncio.sleep(STALL_SECONDS)
            finally:
                self._stalled -= 1

    def complain(self, text: str) -> None:
        """A warning in the log, unless there have been too many of late."""
        if self._complaints.take(time.monotonic()):
            log.warning("%s", text)

    # ---- devices

    def admit(self, peer: Peer, facts: DeviceFacts) -> DeviceFacts:
        """The device as it may join: its certificate says who it is, whatever it says. Raises CallRefused."""
        if peer.holder is not None:
            facts = replace(facts, device_id=peer.holder.name, name=peer.holder.name)
        problem = self._reputation.may_join(time.monotonic(), facts.device_id)
        if problem is not None:
            raise CallRefused(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{facts.name or facts.device_id}: {problem}"
            )
        return facts

    def listen(
        self, link: Link, peer: Peer, facts: DeviceFacts, receive: Callable[[Link, bytes], int]
    ) -> Callable[[bytes], None]:
        """What takes the device's messages; `forget` must follow.

        receive: how many answers one holds, or 1; 0 for what is no message of the protocol.
        """
        self._links[link] = peer
        conversation = Conversation(time.monotonic(), self.expectation)

        def deliver(message: bytes) -> None:
            if link.closed:
                return
            now = time.monotonic()
            problem = conversation.heard(now, len(message), link.sent, self.expectation)
            if problem is None:
                answers = receive(link, message)
                problem = conversation.held(now, answers) if answers else conversation.malformed(now)
            if problem is not None:
                seconds = self._reputation.shut_out(now, facts.device_id)
                self.complain(f"{facts.name} is shut out for {seconds:.0f} s: it sent {problem}")
                link.close(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, f"shut out for {seconds:.0f} s: you sent {problem}"
                )

        return deliver

    def forget(self, link: Link) -> None:
        self._links.pop(link, None)

    async def watch(self) -> NoReturn:
        """Until cancelled: take up changes of the list, and cut off who is not on it any more."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._peers.refresh()
            self._give_up_slow_requests()
            for link, peer in self._links.items():
                if not self._peers.listed(peer):
                    link.close(
                        grpc.StatusCode.UNAUTHENTICATED,
                        "its certificate has been revoked, replaced, or is over",
                    )


async def _give_up(context: Any) -> None:
    """The status ends the read that is under way, and with it the call's handler."""
    problem = f"the request was not there within {RECEIVE_LOOKS * LOOK_SECONDS:g} s"
    with contextlib.suppress(grpc.aio.AbortError, grpc.aio.UsageError, asyncio.InvalidStateError):
        await refuse(context, CallRefused(grpc.StatusCode.DEADLINE_EXCEEDED, problem))

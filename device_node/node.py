"""A device: joins its aggregator, and joins again whenever the connection is lost."""

import asyncio
import contextlib
import gc
import logging
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from random import Random
from typing import Final

from device_node import machine
from device_node.backoff import Backoff
from device_node.cache import StudentCache
from device_node.connection import CONNECT_SECONDS, Connection, ConnectionEnded
from device_node.displacement import Displacement
from device_node.errors import AggregatorUnreachable, CertificateError
from device_node.hosting import Hosting
from device_node.secure import current_credentials, find_fault, load_credentials, named_by_certificate
from device_node.settings import DeviceSettings
from device_node.state import StateFolder, open_state
from device_node.students import import_runtime
from protos import MOST_STUDENTS, PROTOCOL_VERSION, nonn_pb2

log = logging.getLogger(__name__)

_STEADY_SECONDS: Final = 5.0  # a connection that lasted so long was a good one: the next wait is short again


class DeviceNode:
    """One device of the cluster, within a running event loop; `run` below is the process around it."""

    def __init__(self, settings: DeviceSettings, state: StateFolder) -> None:
        """Raises StorageError when the state folder cannot hold students, and CertificateError."""
        self._settings = settings
        self._state = state
        megabytes = settings.memory_megabytes
        self._memory_bytes = machine.memory_for_students() if megabytes is None else megabytes * 1_000_000
        self._cache = StudentCache(state.path / "students", settings.cache_megabytes * 1_000_000)
        self._hosting = Hosting(state, self._cache, settings.threads, self._memory_bytes, settings.precision)
        self._parallel = settings.parallel or min(max(machine.cores() // settings.threads, 1), MOST_STUDENTS)
        self._credentials = load_credentials(settings)
        self._stop = asyncio.Event()
        self._backoff = Backoff(Random())
        self._last_contact = time.monotonic()
        self._complaint = ""
        self._displacement = Displacement(state, self._backoff)

    def stop(self) -> None:
        """Finish the work in hand, say good-bye, and let `run` return. From the event loop's thread only."""
        self._stop.set()

    async def run(self) -> None:
        """Until `stop`. Raises ProtocolMismatch; AggregatorUnreachable, CertificateError on giving up."""
        executor = ThreadPoolExecutor(self._parallel, "compute")
        try:
            # Importing takes about as long as joining; the two go on side by side.
            executor.submit(import_runtime)
            log.info("device %s joins the aggregator at %s", self._state.name, self._settings.aggregator)
            self._last_contact = time.monotonic()
            while not self._stop.is_set():
                await self._serve_once(executor)
                await self._pause()
                gc.collect()  # an ended stream lies in reference cycles, and keeps its socket that long
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
        log.info("device %s has left", self._state.name)

    async def _serve_once(self, executor: ThreadPoolExecutor) -> None:
        try:
            # Each time anew: a folder that was replaced needs no restart.
            self._credentials = current_credentials(self._settings)
        except CertificateError as fault:
            self._complain(fault, was_joined=False)
            return
        connection = Connection(
            self._settings.aggregator,
            self._credentials,
            self._hello(),
            self._hosting,
            executor,
            self._parallel,
        )
        started = time.monotonic()
        greeter = asyncio.create_task(self._note_welcome(connection))
        try:
            # In a task of its own: before Python 3.11.3 a TaskGroup that ended by an error spoils every later
            # asyncio.timeout of the task that it was in (gh-102780), and Debian 12 has 3.11.2.
            seconds = min(CONNECT_SECONDS, max(self._patience(), 0.1))
            await asyncio.create_task(connection.run(self._stop, seconds))
        except ConnectionEnded as ended:
            if connection.welcomed.is_set():
                self._last_contact = time.monotonic()
                if self._last_contact - started >= _STEADY_SECONDS:
                    self._backoff.reset()
            if ended.displaced:
                self._displacement.note(self._credentials.own.name if self._credentials else None)
            if not self._stop.is_set():
                cause = await find_fault(self._settings, ended) or ended
                self._complain(cause, was_joined=connection.welcomed.is_set())
        finally:
            greeter.cancel()

    async def _note_welcome(self, connection: Connection) -> None:
        await connection.welcomed.wait()
        self._complaint = ""
        log.info("device %s (%s) joined", self._state.name, self._device_id[:8])

    def _complain(self, reason: Exception, *, was_joined: bool) -> None:
        """Say once what is wrong, or give up."""
        if self._patience() <= 0:
            gave_up = (
                f"gave up after {self._settings.give_up_seconds:g} s without the aggregator at "
                f"{self._settings.aggregator}"
            )
            if isinstance(reason, CertificateError):
                raise CertificateError(f"{gave_up}: {reason}")
            raise AggregatorUnreachable(f"{gave_up} ({reason}): start it, or check the address")
        state = "lost" if was_joined else "cannot reach"
        complaint = f"{state} the aggregator at {self._settings.aggregator} ({reason}); trying again"
        if complaint != self._complaint:
            log.warning("%s", complaint)
        self._complaint = complaint

    async def _pause(self) -> None:
        """Until the next attempt, `stop`, or the end of patience."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(self._backoff.wait(), self._patience())):
                await self._stop.wait()

    def _patience(self) -> float:
        """Seconds until the device gives up."""
        if self._settings.give_up_seconds is None:
            return float("inf")
        return self._last_contact + self._settings.give_up_seconds - time.monotonic()

    @property
    def _device_id(self) -> str:
        """The certificate's name, which is what the aggregator goes by; without one, the state folder's."""
        return self._state.device_id if self._credentials is None else self._credentials.own.name

    def _hello(self) -> nonn_pb2.Hello:
        return nonn_pb2.Hello(
            device_id=self._device_id,
            name=self._state.name,
            protocol_version=PROTOCOL_VERSION,
            architecture=machine.architecture(),
            memory_bytes=self._memory_bytes,
            cores=machine.cores(),
            parallel=self._parallel,
            speed=self._state.speed,
            cached_digests=(cached := self._cache.digests()),
            measured=self._hosting.measured(cached),
            software_version=_software_version(),
        )


def run(settings: DeviceSettings) -> int:
    """Be a device until SIGTERM or SIGINT; returns 0, the process's exit code.

    Raises SettingsError, CertificateError, StorageError, ProtocolMismatch, AggregatorUnreachable, which all
    have an `exit_code`.
    """
    settings = named_by_certificate(settings)
    with open_state(settings) as state, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run_until_signalled(settings, state))
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed: it takes a tenth off the processor time of a short work."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _run_until_signalled(settings: DeviceSettings, state: StateFolder) -> None:
    node = DeviceNode(settings, state)
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        node.stop()
        for number in signals:  # the next one ends the process at once
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in signals:
        loop.add_signal_handler(number, stop)
    await node.run()


def _software_version() -> str:
    try:
        return metadata.version("nonn")
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return ""

"""The proxy against real sockets: nothing is lost, added or reordered, whatever the link does to it."""

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fault_lab.proxy import CLEAN, LINKS, Proxy, Toxics
from fault_lab.proxy.pace import Pace

WAIT = 20.0
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WAIT):
            await test()

    asyncio.run(bounded())


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """A server that sends back whatever comes, until it ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def proxied(toxics: Toxics = CLEAN) -> AsyncIterator[Proxy]:
    async with echo() as address, Proxy(address) as proxy:
        proxy.set(toxics)
        yield proxy


@asynccontextmanager
async def dial(proxy: Proxy) -> AsyncIterator[Stream]:
    host, _, port = proxy.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def there_and_back(stream: Stream, data: bytes) -> float:
    reader, writer = stream
    started = asyncio.get_running_loop().time()
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    return asyncio.get_running_loop().time() - started


@pytest.mark.parametrize(
    "toxics",
    [CLEAN, Toxics(latency=0.002, jitter=0.002), Toxics(bandwidth=4e6), LINKS["ethernet"].toxics],
)
def test_bytes_come_through_whole_and_in_order_and_so_does_the_end(toxics: Toxics) -> None:
    async def test() -> None:
        data = Random(0).randbytes(1_500_000)
        async with proxied(toxics) as proxy, dial(proxy) as (reader, writer):

            async def send() -> None:
                for start in range(0, len(data), 9999):
                    writer.write(data[start : start + 9999])
                    await writer.drain()
                writer.write_eof()

            _, received = await asyncio.gather(send(), reader.read(-1))
            assert received == data

    run(test)


def test_latency_is_added_each_way_and_from_then_on() -> None:
    async def test() -> None:
        async with proxied() as proxy, dial(proxy) as stream:
            await there_and_back(stream, b"before")
            proxy.set(Toxics(latency=0.1), "downstream")
            assert await there_and_back(stream, b"one way") >= 0.1
            proxy.set(Toxics(latency=0.1))
            assert await there_and_back(stream, b"both ways") >= 0.2
            proxy.set(CLEAN)
            await there_and_back(stream, b"after")

    run(test)


def test_bandwidth_bounds_what_comes_through() -> None:
    async def test() -> None:
        async with proxied(Toxics(bandwidth=1e6)) as proxy, dial(proxy) as stream:
            assert await there_and_back(stream, bytes(200_000)) >= 0.2

    run(test)


def test_what_waits_for_a_narrow_bandwidth_goes_on_when_that_is_over() -> None:
    async def test() -> None:
        async with proxied() as proxy, dial(proxy) as stream:
            await there_and_back(stream, b"before")
            proxy.set(Toxics(bandwidth=1.0), "upstream")
            waiting = asyncio.create_task(there_and_back(stream, bytes(200_000)))
            done, _ = await asyncio.wait([waiting], timeout=0.2)
            assert not done
            proxy.set(Toxics(bandwidth=1e6), "upstream")
            assert 0.35 <= await waiting < 5.0

    run(test)


@pytest.mark.parametrize("directions", [("upstream",), ("downstream",), ()])
def test_what_is_sent_into_a_black_hole_comes_through_when_it_is_gone(
    directions: tuple[str, ...],
) -> None:
    async def test() -> None:
        async with proxied() as proxy, dial(proxy) as stream:
            await there_and_back(stream, b"before")
            proxy.set(Toxics(timeout=True), *directions)  # type: ignore[arg-type]
            lost = asyncio.create_task(there_and_back(stream, b"meanwhile"))
            done, _ = await asyncio.wait([lost], timeout=0.2)
            assert not done
            proxy.set(CLEAN)
            await lost

    run(test)


def test_a_reset_is_seen_on_both_sides_and_new_connections_are_taken() -> None:
    async def test() -> None:
        async with proxied() as proxy:
            async with dial(proxy) as stream:
                await there_and_back(stream, b"before")
                proxy.reset_peer()
                with pytest.raises(ConnectionResetError):
                    await stream[0].read(1)
            async with dial(proxy) as stream:
                await there_and_back(stream, b"after")

    run(test)


def test_a_proxy_that_is_disabled_ends_every_connection_at_once() -> None:
    async def test() -> None:
        async with proxied() as proxy:
            async with dial(proxy) as stream:
                await there_and_back(stream, b"before")
                proxy.disable()
                with pytest.raises(ConnectionResetError):
                    await stream[0].read(1)
            async with dial(proxy) as stream:
                with pytest.raises(ConnectionResetError):
                    await stream[0].read(1)
            proxy.enable()
            async with dial(proxy) as stream:
                await there_and_back(stream, b"after")

    run(test)


def test_nobody_upstream_is_a_reset() -> None:
    async def test() -> None:
        async with echo() as address:
            pass
        async with Proxy(address) as proxy, dial(proxy) as (reader, _):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)

    run(test)


def test_nothing_is_left_behind() -> None:
    async def test() -> None:
        async with AsyncExitStack() as stack:
            address = await stack.enter_async_context(echo())
            before = asyncio.all_tasks()
            async with Proxy(address) as proxy:
                proxy.set(Toxics(timeout=True))
                for _ in range(5):
                    _, writer = await stack.enter_async_context(dial(proxy))
                    writer.write(b"never read")
                while proxy.connections < 5:
                    await asyncio.sleep(0)
            left = [task for task in asyncio.all_tasks() - before if "echo" not in repr(task)]
            assert not left

    run(test)


LATENCIES = st.floats(0.0, 2.0)


@given(
    sizes=st.lists(st.integers(1, 10_000), min_size=1, max_size=30),
    gaps=st.lists(st.floats(0.0, 0.5), min_size=30, max_size=30),
    latency=LATENCIES,
    jitter=LATENCIES,
    bandwidth=st.floats(100.0, 1e9),
)
def test_bytes_never_overtake_others_nor_are_faster_than_the_link(
    sizes: list[int], gaps: list[float], latency: float, jitter: float, bandwidth: float
) -> None:
    pace, toxics = Pace(Random(0)), Toxics(latency, jitter, bandwidth)
    times = list(itertools.accumulate(gaps))
    sent = list(zip(times, sizes, strict=False))
    arrivals = [pace.send(now, bytes(size), toxics).due for now, size in sent]
    assert arrivals == sorted(arrivals)
    for (now, size), arrival in zip(sent, arrivals, strict=True):
        assert arrival >= now + size / bandwidth + max(latency - jitter, 0.0) - 1e-9
    assert arrivals[-1] >= times[0] + sum(sizes) / bandwidth - 1e-9


@given(
    sizes=st.lists(st.integers(0, 10_000), min_size=1, max_size=10),
    rates=st.lists(st.floats(1.0, 1e9) | st.just(math.inf), min_size=1, max_size=5),
    latency=LATENCIES,
    jitter=LATENCIES,
)
def test_each_byte_goes_at_the_rate_of_its_time(
    sizes: list[int], rates: list[float], latency: float, jitter: float
) -> None:
    """All are sent at once, and the rate is another one each second."""
    pace = Pace(Random(0))
    chunks = [pace.send(0.0, bytes(size), Toxics(latency, jitter, rates[0])) for size in sizes]
    for second, rate in enumerate(rates[1:], 1):
        pace.change(second, rate)
    through, left = 0.0, float(sum(sizes))
    for rate in rates[:-1]:
        if left <= rate:
            break
        through, left = through + 1.0, left - rate
    else:
        rate = rates[-1]
    through += left / rate
    assert chunks[-1].through == pytest.approx(through, abs=1e-6)
    dues = [chunk.due for chunk in chunks]
    assert dues == sorted(dues)
    assert all(chunk.due >= chunk.through + max(latency - jitter, 0.0) - 1e-9 for chunk in chunks)
    assert dues[-1] <= through + latency + jitter + 1e-6


@pytest.mark.parametrize(
    "wrong", [{"latency": -1.0}, {"jitter": float("inf")}, {"bandwidth": 0.0}, {"latency": float("nan")}]
)
def test_what_no_link_does_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Toxics(**wrong)

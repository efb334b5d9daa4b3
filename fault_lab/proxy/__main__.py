"""`python -m fault_lab.proxy`: the links of a cluster's devices, each at an address of its own.

Prints `listening on NAME=HOST:PORT` for each link, and then `ready`. The control file says how each link is
to be (fault_lab/proxy/control.py); a link that it does not name is a sound one.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from fault_lab.control_file import LOOK_SECONDS, ControlFile
from fault_lab.proxy.control import SOUND, LinkState, read_links
from fault_lab.proxy.proxy import Proxy
from fault_lab.proxy.steering import Steering
from protos import endpoints


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fault_lab.proxy", allow_abbrev=False)
    parser.add_argument("--upstream", metavar="HOST:PORT", type=_address, required=True)
    parser.add_argument("--control", metavar="FILE", type=Path, required=True)
    parser.add_argument("--listen", metavar="NAME=HOST:PORT", type=_link, action="append", required=True)
    parser.add_argument("--seed", metavar="N", type=int, default=0)
    args = parser.parse_args()
    control = ControlFile[Mapping[str, LinkState]](args.control, read_links, {})
    try:
        asyncio.run(_serve(args.upstream, dict(args.listen), control, args.seed))
    except OSError as error:
        print(f"the proxy cannot listen: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _address(text: str) -> str:
    endpoints.split(text)
    return text


def _link(text: str) -> tuple[str, str]:
    name, _, address = text.rpartition("=")
    if not name:
        raise ValueError
    return name, _address(address)


async def _serve(
    upstream: str, listen: Mapping[str, str], control: ControlFile[Mapping[str, LinkState]], seed: int
) -> None:
    """Until SIGTERM, which a container's first process would not see without a handler."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    links: dict[str, Steering] = {}
    async with AsyncExitStack() as stack:
        for number, (name, address) in enumerate(listen.items()):
            proxy = Proxy(upstream, listen=address, seed=seed + number)
            await stack.enter_async_context(proxy)
            links[name] = Steering(proxy)
            print(f"listening on {name}={proxy.address}", flush=True)
        print("ready", flush=True)
        while not stop.is_set():
            states = control.current()
            for name, link in links.items():
                link.obey(states.get(name, SOUND))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await stop.wait()


if __name__ == "__main__":
    sys.exit(main())

"""The services of a cluster: its aggregator, its devices, and the links between them."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from fault_lab.containers.document import Value, Verbatim, block, comment

PORT: Final = 7560  # of the aggregator, inside
FIRST_LINK_PORT: Final = 7561
AGGREGATOR_ADDRESS: Final = f"aggregator:{PORT}"

# Every service begins with it.
CONFINED: Final[Mapping[str, Value]] = {Verbatim("<<"): Verbatim("*confined")}


def confinement(image: str, restart: str) -> str:
    """What `*confined` stands for."""
    entries: Mapping[str, Value] = {
        "image": image,
        "read_only": True,
        "tmpfs": ["/state:uid=10001,mode=0700", "/tmp"],
        "init": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": restart,
    }
    why = "As little as possible is allowed; what is written is in memory, and ends with the container."
    return comment(why) + "x-confined: &confined\n" + block(entries, 2)


def bind(source: Path | str, target: str) -> Value:
    """A folder of this machine, to be read; relative to the compose file. It has to be there."""
    return {
        "type": "bind",
        "source": str(source),
        "target": target,
        "read_only": True,
        "bind": Verbatim("{create_host_path: false}"),
    }


def aggregator(bundle: str, publish: str, options: Sequence[str] = ()) -> dict[str, Value]:
    """publish: HOST:PORT of this machine. The network between the containers is theirs alone: no TLS."""
    command = ["aggregator", "--bundle", "/bundle", "--listen", f"0.0.0.0:{PORT}", "--insecure", *options]
    return {
        **CONFINED,
        "command": shlex.join(command),
        "volumes": [bind(bundle, "/bundle")],
        "ports": [f"{publish}:{PORT}"],
    }


def device(dial: str, *options: str) -> dict[str, Value]:
    """dial: HOST:PORT of the aggregator, or of the link that leads there.

    Devices share the cores of one machine: each computes as if it had one.
    """
    return {
        **CONFINED,
        "pull_policy": "never",
        "depends_on": [dial.partition(":")[0]],
        "command": shlex.join(["device", "--aggregator", dial, "--insecure", "--parallel", "1", *options]),
    }


def link_addresses(names: Sequence[str]) -> dict[str, str]:
    """Where the device or group of each name dials when there are links."""
    return {name: f"links:{FIRST_LINK_PORT + index}" for index, name in enumerate(names)}


def link_command(names: Sequence[str], control: str) -> list[str]:
    """One proxy a name, all of them in one process. control: the file that says what each link is like."""
    listeners = [
        word
        for name, address in link_addresses(names).items()
        for word in ("--listen", f"{name}=0.0.0.0:{address.partition(':')[2]}")
    ]
    proxy = ["python3", "-m", "fault_lab.proxy", "--upstream", AGGREGATOR_ADDRESS, "--control", control]
    return [*proxy, *listeners]

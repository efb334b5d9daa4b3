"""The systemd unit of one host's device."""

import math
from importlib import resources
from typing import Final

from bundle.footprint import PROCESS_BYTES, RUNTIME_BYTES
from nonn.deploy.inventory import Host, Inventory

# Of the limit, MB that are left to the interpreter and its libraries; students may have the rest.
_OWN_MEGABYTES: Final = math.ceil((PROCESS_BYTES + RUNTIME_BYTES) / 1e6)


def render(inventory: Inventory, host: Host) -> str:
    """The unit file's text. What it is filled with has been checked to hold no blanks, quotes or percents."""
    current = f"{host.folder}/current"
    command = [f"{current}/venv/bin/python", "-m", "nonn", "device", "--aggregator", inventory.aggregator]
    command += ["--name", host.name, "--state", host.state]
    command += ["--threads", str(host.threads), "--cache", str(host.cache)]
    if host.parallel is not None:
        command += ["--parallel", str(host.parallel)]
    if host.memory is not None:
        command += ["--memory", str(host.memory - _OWN_MEGABYTES)]
    command += ["--tls", f"{current}/certs"] if inventory.certificates is not None else ["--insecure"]
    template = resources.files("nonn.deploy").joinpath("device.service").read_text()
    return template.format(
        name=host.name,
        command=" ".join(command),
        account=host.account,
        memory="80%" if host.memory is None else f"{host.memory}M",
        service=host.service,
        state=host.state,
    )

"""The cluster of a failure scenario as a compose file, with a service for each device."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fault_lab.containers import services
from fault_lab.containers.document import Value, block, comment, literal
from fault_lab.local_cluster import FP32

CONTROL: Final = "/control"  # of the control files, inside
LINKS_FILE: Final = "links.json"


def control_name(device: str) -> str:
    """Of the file that tells a device how to misbehave."""
    return f"{device}.json"


@dataclass(frozen=True, slots=True)
class LabCluster:
    """bundle, control: folders of this machine. port: of the aggregator, on this machine's loopback.

    linked: devices dial `fault_lab.proxy`, each at a port of its own. mischievous: devices are run by
    `fault_lab.mischief`. Both obey the files in `control`.
    """

    project: str
    image: str
    bundle: Path
    control: Path
    port: int
    devices: Sequence[str]
    seed: int
    linked: bool
    mischievous: bool
    aggregator_options: Sequence[str] = ()
    device_options: Sequence[str] = ()

    def text(self) -> str:
        """The compose file."""
        dials = services.link_addresses(self.devices) if self.linked else {}
        entries: dict[str, Value] = {"aggregator": self._aggregator()}
        if self.linked:
            entries["links"] = self._links()
        for name in self.devices:
            entries[name] = self._device(name, dials.get(name, services.AGGREGATOR_ADDRESS))
        parts = [
            comment("The cluster of a failure scenario. It is removed as a whole when the scenario ends."),
            block({"name": self.project}),
            services.confinement(self.image, "no"),
            block({"services": entries}),
            comment("A device's identity and students outlive its process, as on a memory card."),
            block({"volumes": {_volume(name): {} for name in self.devices}}),
        ]
        return "\n".join(parts)

    def _aggregator(self) -> Value:
        bundle = literal(str(self.bundle))
        return services.aggregator(bundle, f"127.0.0.1:{self.port}", self.aggregator_options)

    def _links(self) -> Value:
        command = services.link_command(self.devices, f"{CONTROL}/{LINKS_FILE}")
        return {
            **services.CONFINED,
            "pull_policy": "never",
            "depends_on": ["aggregator"],
            "entrypoint": [],
            "command": shlex.join([*command, "--seed", str(self.seed)]),
            "volumes": [self._control()],
        }

    def _device(self, name: str, dial: str) -> Value:
        entries = services.device(dial, "--name", name, *FP32, *self.device_options)
        state: Value = {"type": "volume", "source": _volume(name), "target": "/state"}
        entries |= {"tmpfs": ["/tmp"], "volumes": [state]}
        if self.mischievous:
            arguments = str(entries["command"]).removeprefix("device ")
            file = f"{CONTROL}/{control_name(name)}"
            entries["entrypoint"] = ["python3", "-m", "fault_lab.mischief", file]
            entries |= {"command": arguments, "volumes": [state, self._control()]}
        return entries

    def _control(self) -> Value:
        return services.bind(literal(str(self.control)), CONTROL)


def _volume(device: str) -> str:
    return f"state-of-{device}"

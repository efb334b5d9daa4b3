"""`nonn status`: a cluster's students and devices."""

import argparse
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from nonn.commands import arguments

if TYPE_CHECKING:
    from rich.table import Table

    from nonn.cluster_status import ClusterStatus, DeviceStatus

HELP = "show a cluster's students and devices"

_COLOURS = {"serving": "green", "suspect": "red", "stalled": "red", "leaving": "yellow", "loading": "yellow"}

_WHOLE_NAME = 16  # letters of a device's name that are in one line, in however narrow a window


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_address(parser)
    arguments.add_deadline(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from nonn.client import Client

    with Client(args.aggregator, insecure=args.insecure, tls=args.tls) as client:
        status = client.status(args.deadline)
    if args.json:
        print(json.dumps(_as_json(status), indent=2))
    else:
        _show(status)
    return 0


def _as_json(status: "ClusterStatus") -> dict[str, object]:
    values = asdict(status)
    if math.isnan(status.expected_accuracy):  # JSON has no NaN
        values["expected_accuracy"] = None
    return values


def _show(status: "ClusterStatus") -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    size = "x".join(map(str, status.input.shape))
    console.print(
        f"bundle [bold]{escape(status.bundle_name)}[/] {status.bundle[:12]}: {size} images, "
        f"{len(status.labels)} classes, {len(status.students)} students; "
        f"up {_duration(status.uptime_seconds)}, version {escape(status.software_version)}",
        soft_wrap=True,
    )
    served = sum(1 for student in status.students if student.device_ids)
    accuracy = "nobody serves" if not served else f"expected accuracy {status.expected_accuracy:.1%}"
    console.print(f"{served} of {len(status.students)} students served: {accuracy}")
    if status.staged_bundle:
        console.print(f"bundle {status.staged_bundle[:12]} is being loaded")
    console.print(
        f"{status.answered} requests answered, {status.degraded} of them degraded; {status.refused} refused; "
        f"{status.dropped_messages} messages dropped",
        soft_wrap=True,
    )
    console.print(_students(status))
    console.print(_devices(status))
    for device in status.devices:
        if device.error:
            console.print(f"latest error of {escape(device.name)}: {escape(device.error)}", soft_wrap=True)


def _students(status: "ClusterStatus") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    names = {device.device_id: device.name for device in status.devices}
    table = Table("student", "part", "served by", box=SIMPLE_HEAD)
    for student in status.students:
        hosts = ", ".join(escape(names.get(one, one[:8])) for one in student.device_ids)
        table.add_row(str(student.student), str(student.part), hosts or "[red]nobody[/]")
    return table


def _devices(status: "ClusterStatus") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        "device",
        "state",
        "students",
        "an image",
        "latency",
        "seen",
        "works",
        "machine",
        box=SIMPLE_HEAD,
    )
    name, state = table.columns[:2]
    name.overflow, state.no_wrap = "fold", True
    name.min_width = max((min(len(device.name), _WHOLE_NAME) for device in status.devices), default=0)
    for device in status.devices:
        colour = _COLOURS.get(device.state, "default")
        waiting = sorted(set(device.assigned) - set(device.serving))
        students = [*map(str, device.serving), *(f"({student})" for student in waiting)]
        table.add_row(
            escape(device.name),
            f"[{colour}]{device.state}[/]",
            " ".join(students),
            _image_time(device),
            f"{device.latency_seconds * 1000:.1f} ms" if device.completed else "",
            f"{device.last_seen_seconds:.1f} s ago",
            str(device.completed),
            f"{escape(device.architecture)} x{device.cores}",
        )
    return table


def _image_time(device: "DeviceStatus") -> str:
    """What one image takes for all that the device serves, as it has measured, and in which precision."""
    known = [device.milliseconds[student] for student in device.serving if student in device.milliseconds]
    if not known or len(known) < len(device.serving):
        return ""
    precision = "fp32" if not device.int8 else "int8" if len(device.int8) == len(known) else "mixed"
    return f"{sum(known):.3g} ms {precision}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"

"""`nonn plan`: from uneven devices and a latency budget to parts, students and their places."""

import argparse
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nonn.commands.arguments import positive_int, positive_seconds

if TYPE_CHECKING:
    from bundle import Bundle
    from nonn.planning.devices import Device
    from nonn.planning.networks import Image
    from nonn.planning.proposal import Proposal

HELP = "propose parts, students and their places for uneven devices and a latency budget"
NO_PLAN: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Propose how to split a teacher for uneven devices, so that none of them takes longer than a budget "
        "for one image: how many parts, how many filters for each, how wide each student, and which device "
        "it is for. Says why, step by step, and ends with the lines for an experiment file. Ends with "
        "code 1 when there is no plan, and says what would help."
    )
    parser.epilog = (
        "example: nonn plan --bundle samples/cifar100 --boards pi4:3,zero2:1 --budget 10; "
        "docs/how-to/plan.md explains"
    )
    devices = parser.add_argument_group("devices, any mix of these")
    devices.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="NAME:MS:MEMORY",
        help="MS: that one image takes for the reference network; MEMORY: MB for students. Or NAME:BOARD",
    )
    devices.add_argument(
        "--boards",
        metavar="BOARD:COUNT,...",
        help="estimates for pi3, pi4, pi5, zero2; such as pi4:6,zero2:2",
    )
    devices.add_argument(
        "--measured",
        action="append",
        type=Path,
        default=[],
        metavar="FILE.json",
        help="what `nonn benchmark-device --json` printed on the device",
    )
    devices.add_argument("--devices", type=Path, metavar="FILE.toml", help="[[device]] tables; see the guide")
    task = parser.add_argument_group("what is to be split")
    task.add_argument("--bundle", type=Path, metavar="DIR", help="as large as this one's teacher")
    task.add_argument("--filters", type=positive_int, metavar="N", help="of the teacher's last feature map")
    task.add_argument("--classes", type=positive_int, metavar="N", help="that it tells apart")
    task.add_argument("--image", type=_image, metavar="HxWxC", help="such as 32x32x3")
    parser.add_argument(
        "--budget", type=positive_seconds, required=True, metavar="MS", help="for one image, on each device"
    )
    parser.add_argument(
        "--network", type=float, default=0.0, metavar="MS", help="of the budget; default: %(default)s"
    )
    parser.add_argument(
        "--replicas", type=positive_int, default=1, metavar="N", help="students a part; default: %(default)s"
    )
    parser.add_argument(
        "--depth", type=int, choices=(10, 16, 22, 28), default=16, help="of students; default: %(default)s"
    )
    parser.add_argument(
        "--reference",
        metavar="WRN-D-W",
        default="wrn-16-1",
        help="network that MS of --device is about; default: %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from bundle import MAX_STUDENTS
    from nonn.errors import UsageError
    from nonn.planning.proposal import Impossible, Task, propose
    from nonn.planning.words import explain, snippet

    if not 0 <= args.network < args.budget:
        raise UsageError(
            f"--network: {args.network:g} ms must be from 0 to below the budget, {args.budget:g}"
        )
    if args.replicas > MAX_STUDENTS:
        raise UsageError(f"--replicas: a bundle has {MAX_STUDENTS} students at the most")
    filters, classes, image = _teacher(args)
    devices = _devices(args, image, classes)
    task = Task(filters, classes, image, args.budget - args.network, args.replicas, args.depth)
    outcome = propose(task, devices)
    lines = list(explain(devices, outcome))
    if args.json:
        print(json.dumps(_as_json(outcome, lines), indent=1))
    else:
        print("\n".join(lines))
    if isinstance(outcome, Impossible):
        return NO_PLAN
    if not args.json:
        print("\nIn the experiment file:\n\n" + snippet(outcome), end="")
    return 0


def _image(text: str) -> "Image":
    from nonn.planning.networks import Image

    try:
        height, width, channels = (positive_int(word) for word in text.split("x"))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"{text!r} is no HxWxC such as 32x32x3") from None
    return Image(height, width, channels)


def _teacher(args: argparse.Namespace) -> "tuple[int, int, Image]":
    """Filters, classes and images, of the bundle or as typed in."""
    from bundle import Bundle
    from nonn.errors import UsageError

    typed = args.filters, args.classes, args.image
    if args.bundle is None:
        if None in typed:
            raise UsageError("say what is to be split: --bundle, or --filters, --classes and --image")
        return typed
    if typed != (None, None, None):
        raise UsageError("--bundle says already what --filters, --classes and --image would")
    return _of_bundle(Bundle.load(args.bundle))


def _of_bundle(bundle: "Bundle") -> "tuple[int, int, Image]":
    from nonn.errors import UsageError
    from nonn.planning.networks import Image

    manifest = bundle.manifest
    partition = manifest.experiment.get("partition")
    overlap = partition.get("overlap", 1) if isinstance(partition, dict) else 1
    if type(overlap) is not int or not 1 <= overlap <= manifest.parts:  # provenance is kept as it came
        raise UsageError(
            f"{bundle.path}: overlap = {overlap!r} of {manifest.parts} parts does not tell how large its "
            "teacher is: say so with --filters, --classes and --image instead of --bundle"
        )
    return sum(manifest.part_sizes) // overlap, manifest.classes, Image(*manifest.input.shape)


def _devices(args: argparse.Namespace, image: "Image", classes: int) -> "tuple[Device, ...]":
    from nonn.errors import UsageError
    from nonn.planning import devices
    from nonn.planning.networks import parse_network, student_cost

    try:
        network = parse_network(args.reference)
    except ValueError as error:
        raise UsageError(f"--reference: {error}") from None
    reference = student_cost(network, image, network.features, classes).multiply_adds
    found = [devices.parse_device(text, reference) for text in args.device]
    found += devices.of_boards(args.boards) if args.boards else []
    found += [devices.of_benchmark(_read_json(path), str(path)) for path in args.measured]
    if args.devices is not None:
        tables = _read_toml(args.devices).get("device")
        if not isinstance(tables, list):
            raise UsageError(f"{args.devices} has no [[device]] tables")
        found += [devices.of_table(table, f"{args.devices}", reference) for table in tables]
    return devices.distinct(found)


def _read_json(path: Path) -> Any:
    from nonn.errors import UsageError

    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    from nonn.errors import UsageError

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None


def _as_json(outcome: Any, lines: list[str]) -> dict[str, object]:
    from nonn.planning.proposal import Impossible
    from nonn.planning.words import snippet

    left_out = [one.device.name for one in outcome.left_out]
    if isinstance(outcome, Impossible):
        return {"plan": None, "enough_budget": outcome.enough, "left_out": left_out, "reasoning": lines}
    return {
        "plan": _plan_as_json(outcome),
        "left_out": left_out,
        "spare": [device.name for device in outcome.spare],
        "reasoning": lines,
        "experiment": snippet(outcome),
    }


def _plan_as_json(proposal: "Proposal") -> dict[str, object]:
    return {
        "sizes": [part.filters for part in proposal.parts],
        "architecture": [part.network.name for part in proposal.parts],
        "students": proposal.students,
        "devices": [
            {
                "name": device.name,
                "students": held,
                "milliseconds": proposal.milliseconds(device),
                "memory_bytes": proposal.memory(device),
                "source": device.source,
            }
            for device, held in proposal.placement.items()
        ],
    }

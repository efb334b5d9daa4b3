"""Bytes that each device receives and sends for one inference, in three ways of sharing a network.

- ours: an aggregator and eight `nonn device` processes that serve the CIFAR-100 sample.
- NoNN's: each device answers with its part's features instead of partial logits: messages like ours, of those
  sizes, over gRPC (benchmarks/echo.py); sent at our sizes as well, to see whether they stand for real ones.
- layers split by rows, as in MoDNN: computed from the teacher's feature maps (benchmarks/layer_split.py).

Measured is TCP payload, gRPC's and HTTP/2's framing included, as the kernel has counted it on each device's
connection (`ss`), less what pings take in the same time. IP and TCP headers come on top of each.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks import common, echo
from benchmarks.connections import Wire
from benchmarks.fleet import request_of, sizes
from benchmarks.layer_split import FeatureMap, Split, Traffic, stages
from bundle import Bundle
from bundle.errors import NonnError
from fault_lab.local_cluster import LocalCluster, Status
from nonn import Client
from protos.engine import OLDER_ENGINE

DEVICES = 8
BATCHES = (1, 8)
DEADLINE = 30.0
START_SECONDS = 180.0
ENGINE = {"GRPC_EXPERIMENTS": OLDER_ENGINE}  # as `nonn` has it


def ours(bundle: Bundle, rounds: int, requests: int, idle_seconds: float) -> dict[str, Any]:
    found: dict[str, list[np.ndarray]] = {f"batch_{batch}": [] for batch in BATCHES}
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (max(BATCHES), *bundle.manifest.input.shape), np.uint8)
    with LocalCluster(bundle.path, DEVICES, start_seconds=START_SECONDS) as cluster:
        cluster.wait_until(_one_each, START_SECONDS, cluster.devices)
        wire = Wire(cluster.address, DEVICES)
        idle = wire.rate(idle_seconds)
        with Client(cluster.address) as client:
            for _ in range(rounds):
                for batch in BATCHES:

                    def ask(asked: np.ndarray = images[:batch]) -> object:
                        return client.predict(asked, deadline=DEADLINE, strict=True)

                    found[f"batch_{batch}"].append(wire.count(ask, requests, idle) / batch)
        cluster.wait_until(_one_each, START_SECONDS, cluster.devices)
    return {"idle_bytes_s": _directions([idle]), **{name: _directions(each) for name, each in found.items()}}


def _one_each(status: Status) -> bool:
    return [len(device.serving) for device in status.devices] == [1] * DEVICES


def exchanged(bundle: Bundle, widths: Sequence[int], rounds: int, requests: int) -> dict[str, Any]:
    """As `ours`, of devices that answer with so many numbers an image each; no answer is computed."""
    found = {}
    for batch in BATCHES:
        with _stand_ins(bundle, widths, batch) as (wire, ask):
            nothing = np.zeros((DEVICES, 2))
            each = [wire.count(ask, requests, nothing) / batch for _ in range(rounds)]
            found[f"batch_{batch}"] = _directions(each)
    return {"widths": list(widths), **found}


@contextmanager
def _stand_ins(
    bundle: Bundle, widths: Sequence[int], images: int
) -> Iterator[tuple[Wire, Callable[[], object]]]:
    size = sizes(bundle, images)
    with common.Children() as children:
        messages = ("--answer", size.answer, "--work", size.work)
        aggregator = children.start("benchmarks.echo", "aggregator", *messages, **ENGINE)
        address = common.first_line(aggregator, "listening on ")
        for width in widths:
            reply = sizes(bundle, images, width).reply
            answers = ("--streams", 1, "--reply", reply)
            device = children.start("benchmarks.echo", "devices", address, *answers, **ENGINE)
            common.first_line(device, "joined")
        request = request_of(bundle, images)
        with grpc.insecure_channel(address, options=echo.CHANNEL_OPTIONS) as channel:
            call = channel.unary_unary(echo.PREDICT)
            yield Wire(address, DEVICES), lambda: call(request, timeout=DEADLINE)


def layers_split(bundle: Bundle) -> dict[str, Any]:
    """Raises TeacherError where there is none."""
    from benchmarks.accuracy.cells import load_cells
    from student_builder.teacher_files import build_network

    experiment = load_cells("cells")["nonn"].experiment(0)
    network = build_network(experiment.teacher.module, experiment.teacher.arguments, experiment.base)
    height, width, channels = bundle.manifest.input.shape
    found = stages(network, FeatureMap(channels, height, width))
    split = Split(found, DEVICES)
    return {
        "maps": [f"{each.result.channels} x {each.result.rows} x {each.result.columns}" for each in found],
        "exchanged": _computed(split.exchanged()),
        "gathered": _computed(split.gathered()),
    }


def _computed(traffic: Sequence[Traffic]) -> dict[str, Any]:
    return _directions([np.array([(each.down, each.up) for each in traffic], float)])


def louvain_sizes(work: Path) -> list[int]:
    """Of NoNN's own parts of the teacher's filters; the accuracy table's, made here if it has none yet."""
    from benchmarks.accuracy.cells import load_cells
    from student_builder.progress import RichProgress
    from student_builder.steps import load_partition, obtain_teacher, partition_filters
    from student_builder.workspace import Workspace

    workspace = Workspace(
        load_cells("cells")["nonn"].experiment(0), work / "cells" / "nonn-0", work / "shared"
    )
    parts = load_partition(workspace)
    if parts is None:
        progress = RichProgress()
        with workspace.locked():
            parts = partition_filters(workspace, obtain_teacher(workspace, progress), progress)
    return list(parts.sizes)


def _directions(rounds: Sequence[np.ndarray]) -> dict[str, Any]:
    """Over rounds, the mean of the devices; largest: both directions of the device with most traffic."""
    means = [each.mean(axis=0) for each in rounds]
    return {
        "down": common.spread([mean[0] for mean in means], 1),
        "up": common.spread([mean[1] for mean in means], 1),
        "both": common.spread([mean.sum() for mean in means], 1),
        "largest": common.spread([each.sum(axis=1).max() for each in rounds], 1),
    }


def messages(bundle: Bundle, width: int) -> dict[str, Any]:
    """Bytes of the messages without framing, and of the numbers in them."""
    size, features = sizes(bundle), sizes(bundle, 1, width)
    return {
        "image": int(np.prod(bundle.manifest.input.shape)),
        "work": size.work,
        "logits": 4 * bundle.manifest.classes,
        "partial": size.reply,
        "features": 4 * width,
        "feature_reply": features.reply,
    }


def measure(bundle: Bundle, arguments: argparse.Namespace) -> dict[str, Any]:
    rounds, requests = arguments.rounds, arguments.requests
    filters = sum(bundle.manifest.part_sizes)
    even = [filters * (device + 1) // DEVICES - filters * device // DEVICES for device in range(DEVICES)]
    figures: dict[str, Any] = {"devices": DEVICES, "messages": messages(bundle, even[0])}
    figures["ours"] = ours(bundle, rounds, requests, arguments.idle_seconds)
    figures["ours_stand_in"] = exchanged(bundle, [bundle.manifest.classes] * DEVICES, rounds, requests)
    figures["nonn"] = exchanged(bundle, even, rounds, requests)
    same_parts = [bundle.manifest.part_sizes[student.part] for student in bundle.manifest.students]
    figures["nonn_same_parts"] = exchanged(bundle, same_parts, rounds, requests)
    try:
        figures["layers_split"] = layers_split(bundle)
        if arguments.louvain:
            figures["nonn_louvain"] = exchanged(bundle, louvain_sizes(arguments.work), rounds, requests)
    except NonnError as error:
        print(f"left out what needs the teacher: {error}")
    return figures


def show(figures: Mapping[str, Any]) -> None:
    from benchmarks.report import traffic

    print(*traffic(dict(figures)), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100, metavar="N", help="in a round")
    parser.add_argument("--idle-seconds", type=float, default=30.0, metavar="S", help="to count pings")
    parser.add_argument("--louvain", action="store_true", help="NoNN with parts of its own sizes, too")
    parser.add_argument(
        "--work",
        type=Path,
        default=common.ROOT / "runs" / "accuracy",
        help="the accuracy table's; %(default)s",
    )
    parser.add_argument("--save", metavar="NAME", help="into benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    run = common.Run()
    figures = measure(Bundle.load(common.SAMPLES["cifar100"]), arguments)
    print(json.dumps(figures, indent=1))
    if arguments.save:
        run.save(arguments.save, figures)
    show(figures)


if __name__ == "__main__":
    main()

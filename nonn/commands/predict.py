"""`nonn predict`: ask a cluster what is in some images."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nonn.commands import arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nonn.client import Answer, Client

HELP = "ask a cluster for the classes of image files"

_BATCH: Final = 32  # images of one .npy file that go in one request


def add_arguments(parser: argparse.ArgumentParser) -> None:
    arguments.add_address(parser)
    arguments.add_deadline(parser)
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", type=Path, help="a picture, or a .npy file of uint8 images"
    )
    parser.add_argument(
        "--top",
        type=arguments.positive_int,
        default=3,
        metavar="K",
        help="classes shown; default: %(default)s",
    )
    parser.add_argument("--strict", action="store_true", help="rather be refused than have students missing")
    parser.add_argument(
        "--policy",
        default="",
        help="answer with `all` students, with one of each part (`covered`), or with `quorum=N`; "
        "default: the aggregator's",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list, one object for each image")


def run(args: argparse.Namespace) -> int:
    from nonn.client import Client

    with Client(args.aggregator, insecure=args.insecure, tls=args.tls) as client:
        found = _predict(client, args)
        if args.json:
            print(json.dumps(list(found), indent=2))
        else:
            for one in found:
                print(_describe(one))
    return 0


def _predict(client: "Client", args: argparse.Namespace) -> "Iterator[dict[str, Any]]":
    from nonn.images import load_images

    status = client.status(args.deadline)
    for path in args.images:
        images = load_images(path, status.input)
        for start in range(0, len(images), _BATCH):
            answer = client.predict(
                images[start : start + _BATCH], args.deadline, strict=args.strict, policy=args.policy
            )
            for offset in range(len(answer.logits)):
                name = str(path) if len(images) == 1 else f"{path}[{start + offset}]"
                yield {"image": name} | _read(answer, offset, status.labels, args.top)


def _read(answer: "Answer", row: int, labels: tuple[str, ...], top: int) -> dict[str, Any]:
    """One image's share of an answer, as JSON values."""
    import numpy as np

    logits = answer.logits[row].astype(np.float64)
    odds = np.exp(logits - logits.max())
    probabilities = odds / odds.sum()
    order = np.argsort(-probabilities, kind="stable")[:top]
    expected = answer.expected_accuracy
    return {
        "top": [{"label": labels[i], "probability": float(probabilities[i])} for i in order],
        "answered": list(answer.answered),
        "missing": list(answer.missing),
        "degraded": answer.degraded,
        "expected_accuracy": None if math.isnan(expected) else expected,
        "bundle": answer.bundle,
    }


def _describe(found: dict[str, Any]) -> str:
    lines = [found["image"]]
    lines += [f"  {choice['probability']:6.1%}  {choice['label']}" for choice in found["top"]]
    students = f"students {_join(found['answered'])} answered"
    missing = f", {_join(found['missing'])} missing" if found["missing"] else ""
    expected = found["expected_accuracy"]
    accuracy = "unknown" if expected is None else f"{expected:.1%}"
    return "\n".join([*lines, f"  {students}{missing}; expected accuracy {accuracy}"])


def _join(students: list[int]) -> str:
    return ", ".join(map(str, students))

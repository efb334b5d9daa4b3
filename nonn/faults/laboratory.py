"""What the kinds of `nonn faults` share: bundle, images, grounds, and a run from its file to its report."""

import contextlib
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bundle import Bundle
    from fault_lab.grounds.compose import Compose
    from fault_lab.grounds.processes import Processes
    from fault_lab.run.session import Session
    from fault_lab.scenario import Scenario
    from student_builder.progress import Progress

GROUNDS: Final = ("simulation", "processes", "compose")
SAMPLE: Final = Path(__file__).parent.parent.parent / "samples" / "digits"
MOST_IMAGES: Final = (
    512  # that a run asks about: enough to tell accuracies apart, few enough to compute first
)
PACKAGES: Final = ("nonn", "grpcio", "onnxruntime", "numpy", "protobuf")


@dataclass(frozen=True)
class Images:
    """images uint8 [N, H, W, C]; labels [N], or None for images without."""

    images: "NDArray[np.uint8]"
    labels: "NDArray[np.integer[Any]] | None"


def find_bundle(scenario: "Scenario", given: Path | None) -> "Bundle":
    """The one given, else the scenario's, else the digits sample. Raises UsageError, BundleError."""
    from bundle import Bundle

    if given is not None:
        return Bundle.load(given)
    if scenario.cluster.bundle is not None:
        return Bundle.load(scenario.base / scenario.cluster.bundle)
    return Bundle.load(sample())


def sample() -> Path:
    """The digits sample. Raises UsageError when this is no checkout."""
    from nonn.errors import UsageError

    if not SAMPLE.is_dir():
        raise UsageError("samples/digits is not there: name a bundle with --bundle DIR")
    return SAMPLE


def find_images(bundle: "Bundle", source: str | None, base: Path, seed: int) -> Images:
    """Held-out images of a source, or of the bundle's own data; random ones without labels if there is none.

    Raises DataError for a source that cannot be used.
    """
    import numpy as np

    from student_builder.data import load_data

    own = bundle.manifest.experiment.get("data")
    known = own.get("source") if isinstance(own, dict) else None
    source = source or (known if known == "digits" else None)
    shape = (MOST_IMAGES, *bundle.manifest.input.shape)
    random = Images(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), None)
    if source is None:
        return random
    try:
        data = load_data(source, base)
    except ModuleNotFoundError:
        if source == known:
            return random
        raise
    chosen = np.random.default_rng(seed).permutation(len(data.test_images))[:MOST_IMAGES]
    return Images(data.test_images[chosen], data.test_labels[chosen])


def what_is_left_out(scenario: "Scenario", ground: str) -> list[str]:
    """What this ground cannot do of the scenario, a line each."""
    if ground == "simulation":
        from fault_lab.grounds.simulation import shortcomings

        return shortcomings(scenario)
    return ground_class(ground).shortcomings(scenario)


def ground_class(name: str) -> "type[Processes] | type[Compose]":
    if name == "compose":
        from fault_lab.grounds.compose import Compose

        return Compose
    from fault_lab.grounds.processes import Processes

    return Processes


def check_same_bundle(known: dict[str, Any]) -> Path:
    """Where the bundle of a run is. Raises UsageError when another lies there now."""
    from bundle import Bundle
    from nonn.errors import UsageError

    path = Path(known["path"])
    found = Bundle.load(path).manifest.id
    if found != known["id"]:
        raise UsageError(f"{path} is bundle {found[:12]} now, and the run was with {known['id'][:12]}")
    return path


def facts(base: Path, bundle: "Bundle", command: str) -> dict[str, Any]:
    """What a reader needs to do it again."""
    return {
        "command": command,
        "base": str(base),
        "bundle": {"id": bundle.manifest.id, "name": bundle.manifest.name, "path": str(bundle.path)},
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": {
            "system": platform.platform(),
            "architecture": platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
        },
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def prepare() -> None:
    """Before anything starts: a `kill` from outside shall end the cluster in order too, as Ctrl-C does.

    Raises MissingExtra rather than an error after the cluster has run.
    """
    from nonn.errors import MissingExtra

    for package in ("pydantic", "jinja2", "matplotlib", "rich"):
        if find_spec(package) is None:
            raise MissingExtra("this command", package, "lab")
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextlib.contextmanager
def readiness() -> Iterator[None]:
    """Raises ClusterNotReady where waiting for a cluster took too long."""
    from nonn.errors import ClusterNotReady

    try:
        yield
    except TimeoutError as error:
        raise ClusterNotReady(f"{error}; a machine that is busy otherwise may be the reason") from error


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def progress(steps: int) -> "Progress":
    from student_builder.progress import RichProgress, Silent

    return RichProgress() if sys.stderr.isatty() and steps > 1 else Silent()


@contextlib.contextmanager
def view(*, quiet: bool) -> "Iterator[Callable[[Session], None]]":
    """What to call with a session again and again, so that whoever waits sees what happens."""
    from fault_lab.report.live import open_view

    with open_view(quiet=quiet) as shown:
        yield lambda session: shown.show(session.picture())

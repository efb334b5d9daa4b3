"""One run of one scenario: from the file to the folder that holds its result and report."""

import asyncio
import contextlib
import dataclasses
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nonn.faults import laboratory
from nonn.faults.laboratory import say

if TYPE_CHECKING:
    from bundle import Bundle
    from fault_lab.record import Run
    from fault_lab.run.folder import RunFolder
    from fault_lab.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Order:
    """scenario: a file, or a name of the library. seed, bundle, output: None for the scenario's own.

    output: a folder that is not there yet. base: what paths in the scenario count from, if not its folder.
    """

    scenario: str
    ground: str
    seed: int | None = None
    bundle: Path | None = None
    output: Path | None = None
    quiet: bool = False
    base: Path | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """notes: those of the summary that had not been said before the run."""

    summary: dict[str, Any]
    folder: Path
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """What a run is made of. missing: what its ground leaves out."""

    path: Path
    scenario: "Scenario"
    bundle: "Bundle"
    missing: list[str]


def read(name: str, ground: str, bundle: Path | None, base: Path | None = None) -> Given:
    """Read and checked, and what is left out said. Raises ScenarioError, BundleError, UsageError."""
    from fault_lab.scenario import check_faults, find_scenario, load_scenario, students_of_parts

    path = find_scenario(name)
    scenario = load_scenario(path, base)
    found = laboratory.find_bundle(scenario, bundle)
    check_faults(path, scenario, students_of_parts(found.manifest))
    missing = laboratory.what_is_left_out(scenario, ground)
    for line in missing:
        say(f"not on {ground}: {line}")
    return Given(path, scenario, found, missing)


def execute(order: Order) -> Result:
    """Raises ScenarioError before anything has started, and what starting a cluster raises."""
    from fault_lab.record import summarise
    from fault_lab.run.folder import RunFolder, new_folder

    laboratory.prepare()
    given = read(order.scenario, order.ground, order.bundle, order.base)
    path, scenario, bundle, missing = given.path, given.scenario, given.bundle, given.missing
    seed = scenario.seed if order.seed is None else order.seed
    target = order.output or new_folder(scenario.name, order.ground, seed)
    with RunFolder(target, path) as folder, _told_where(target), _located(path):
        if order.ground == "simulation":
            run = _simulate(scenario, bundle, seed, folder)
        else:
            run = _run_for_real(scenario, bundle, order.ground, seed, folder, quiet=order.quiet)
        facts = laboratory.facts(scenario.base, bundle, _command(order, seed))
        whole = dataclasses.replace(run, notes=(*missing, *run.notes), facts={**run.facts, **facts})
        summary = summarise(whole)
        folder.finish(summary)
    return Result(summary, folder.path, run.notes)


@contextlib.contextmanager
def _located(path: Path) -> Iterator[None]:
    """A fault that turns out not to fit the cluster is told with its line, too."""
    from fault_lab.scenario import located
    from fault_lab.scenario.errors import ScenarioError

    try:
        yield
    except ScenarioError as error:
        raise located(path, error) from None


@contextlib.contextmanager
def _told_where(folder: Path) -> Iterator[None]:
    """Whoever breaks a run off finds what it has left."""
    try:
        yield
    except BaseException:
        say(f"broken off; what was recorded until then is in {folder}")
        raise


def _command(order: Order, seed: int) -> str:
    words = ["nonn", "faults", "run", order.scenario, "--on", order.ground, "--seed", str(seed)]
    if order.bundle is not None:
        words += ["--bundle", str(order.bundle)]
    return shlex.join(words)


def _simulate(scenario: "Scenario", bundle: "Bundle", seed: int, folder: "RunFolder") -> "Run":
    from fault_lab.grounds.simulation import simulate

    run = simulate(scenario, seed, bundle)
    for outcome in run.outcomes:
        folder.record(outcome)
    return run


def _run_for_real(
    scenario: "Scenario", bundle: "Bundle", ground: str, seed: int, folder: "RunFolder", *, quiet: bool
) -> "Run":
    from fault_lab.run.result import to_run
    from fault_lab.run.session import Session
    from fault_lab.run.truth import Truth

    devices = "1 device" if scenario.cluster.devices == 1 else f"{scenario.cluster.devices} devices"
    say(f"computing what {devices} should answer")
    data = laboratory.find_images(bundle, scenario.load.data, scenario.base, seed)
    truth = Truth(bundle, data.images, data.labels)
    notes = () if data.labels is not None else ("images without labels: no accuracy was observed",)
    cluster = laboratory.ground_class(ground)(scenario, bundle.path, folder=folder.logs, seed=seed)
    say(f"starting {devices} on {ground}")
    with laboratory.readiness(), cluster, laboratory.view(quiet=quiet) as watch:
        session = Session(scenario, cluster, truth, seed, watch=watch, record=folder.record)
        asyncio.run(session.run())
    return to_run(session, notes, {})

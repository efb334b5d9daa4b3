"""From a scenario and a bundle to a simulated cluster: what is left of the real one, and what stands in."""

import math
from dataclasses import replace
from random import Random
from typing import Final

import numpy as np

from aggregator import Core, Model, Settings
from bundle import Bundle, InputSpec, Merger
from fault_lab.invariants import History
from fault_lab.proxy import LINKS, Toxics
from fault_lab.scenario import Scenario
from fault_lab.simulation.cluster import Cluster, MakeCore
from fault_lab.simulation.scenario import DeviceSpec
from fault_lab.simulation.sizes import Sizes
from fault_lab.simulation.toy import CLASSES

LOOPBACK: Final = Toxics(latency=0.0001, jitter=0.00005)
# Seconds that an average student takes for an image, as on a small board.
IMAGE_SECONDS: Final = 0.002
# Seconds within which the devices' processes start, and those to fetch and to load a student on a fast link.
STARTING, FETCH, LOAD = 0.5, 0.02, 0.1
SPREAD: Final = 1.25  # devices and links are faster or slower than most by up to this factor
MEGABYTE: Final = 1_000_000
# Steps of the core that a violation's history is looked for in.
REMEMBERED: Final = 20_000


def make_cluster(scenario: Scenario, seed: int, bundle: Bundle, core: MakeCore = Core) -> Cluster:
    """`seed` decides how fast each device and its link is, and when it starts."""
    model = stand_in(bundle)
    random = Random(f"nonn cluster {seed}")
    return Cluster(
        (model,),
        make_settings(scenario),
        [draw_device(scenario, model, random) for _ in range(scenario.cluster.devices)],
        seed,
        core=core,
        sizes=sizes_of(bundle),
        history=History(most=REMEMBERED),
    )


def make_settings(scenario: Scenario) -> Settings:
    cluster = scenario.cluster
    heal = None if cluster.heal_after == "never" else cluster.heal_after
    return Settings(ping=cluster.ping, queue=cluster.queue, heal=heal)


def stand_in(bundle: Bundle) -> Model:
    """The bundle's id, students, memory, costs and accuracies; the toy's images and logits, and another fill.

    Every student must say something else for the merge to be checked, and a tiny merge is a quick one.
    """
    model = Model.of(bundle)
    students = tuple(replace(student, cost=max(student.cost, 1)) for student in model.students)
    random = np.random.default_rng(len(students))
    means = random.integers(-4, 5, (len(students), CLASSES))
    merger = Merger([student.part for student in students], np.arange(CLASSES), means, "mean")
    return Model(model.bundle_id, InputSpec(1, 1, 4), students, merger, model.accuracy)


def sizes_of(bundle: Bundle) -> Sizes:
    """As the real bundle's images and logits are."""
    manifest = bundle.manifest
    files = tuple(student.bytes for student in manifest.students)
    return Sizes(image=math.prod(manifest.input.shape), logits=4 * manifest.classes, files=files)


def draw_device(scenario: Scenario, model: Model, random: Random) -> DeviceSpec:
    cost = sum(student.cost for student in model.students) / len(model.students)
    link = LOOPBACK if scenario.cluster.link is None else LINKS[scenario.cluster.link].toxics
    longer = _about_one(random)
    megabytes = scenario.cluster.memory_mb
    return DeviceSpec(
        start=STARTING * random.random(),
        speed=cost / (IMAGE_SECONDS * 1e9) * _about_one(random),
        told=True,
        memory_bytes=0 if megabytes is None else megabytes * MEGABYTE,
        rate=1.0,
        delay=max(link.latency - link.jitter, 0.0) * longer,
        jitter=2.0 * link.jitter * longer,
        fetch=FETCH + 2.0 * link.latency * longer,
        load=LOAD * _about_one(random),
        straggles=0.0,
        straggling=1.0,
        bandwidth=link.bandwidth,
    )


def _about_one(random: Random) -> float:
    return random.uniform(1.0 / SPREAD, SPREAD)

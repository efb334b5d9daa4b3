"""The demo: what it counts is true, and it keeps its promises from the first to the last process."""

import asyncio
import json
import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from bundle import Bundle
from fault_lab.local_cluster import LocalCluster
from nonn import AsyncClient
from nonn.demonstration import Victim, choose_victims
from nonn.rehearsal import Rehearsal, Stage, Tally
from tests.end_to_end.offline import Offline, students_of
from tests.end_to_end.small_bundle import random_images

pytestmark = pytest.mark.slow

IMAGES = random_images(60, seed=3)


def test_a_stage_measures_exactly_its_survivors(cluster: LocalCluster, offline: Offline) -> None:
    labels = offline.logits(IMAGES, offline.everyone).argmax(axis=1)
    victims = choose_victims(cluster.status(), 4, seed=1)

    async def rehearse() -> list[Stage]:
        client = AsyncClient(cluster.address)
        async with client, Rehearsal(client, IMAGES, labels) as rehearsal:
            await rehearsal.stage(offline.everyone)
            for victim in victims:
                kill = partial(asyncio.to_thread, cluster.kill, victim.index)
                await rehearsal.stage(victim.survivors, before=kill)
        return rehearsal.stages

    stages = asyncio.run(rehearse())
    assert stages[0].accuracy == 1.0
    for stage in stages:
        assert sorted(stage.right) == list(range(len(IMAGES)))
        offline_right = offline.logits(IMAGES, stage.students).argmax(axis=1) == labels
        assert [stage.right[index] for index in range(len(IMAGES))] == offline_right.tolist()
    total = sum((stage.tally for stage in stages), Tally())
    assert total.answered == total.requests == cluster.status().answered
    assert total.answered >= 5 * len(IMAGES)


def test_victims_are_the_same_students_whoever_got_them(bundle: Bundle, cluster: LocalCluster) -> None:
    status = cluster.status()
    victims = choose_victims(status, 4, seed=7)
    assert len({victim.index for victim in victims}) == 4
    left = set(range(8))
    for victim in victims:
        left -= students_of(status, victim.name)
        assert victim.survivors == tuple(sorted(left))
    shuffled = type(status)()
    shuffled.CopyFrom(status)
    for device, other in zip(shuffled.devices, reversed(status.devices), strict=True):
        device.name = other.name
    assert [v.survivors for v in choose_victims(shuffled, 4, 7)] == [v.survivors for v in victims]
    assert choose_victims(status, 0, seed=7) == ()
    assert isinstance(victims[0], Victim)


@pytest.mark.heavy
def test_the_whole_demo(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    result = subprocess.run(
        [sys.executable, "-m", "nonn", "demo", "--json", "--seed", "1", "--keep", str(kept)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["devices"], found["parts"], found["killed"]) == (8, 4, 4)
    assert found["answered"] + found["refused"] == found["requests"] >= 5 * found["images"]
    assert found["lost"] == 0
    bundle = Bundle.load(kept)
    for lost, step in enumerate(found["steps"]):
        assert len(step["students"]) == 8 - lost
        assert step["images"] == found["images"]
        assert step["expected"] == pytest.approx(bundle.expected_accuracy(step["students"]), abs=1e-6)
        # Two samples of one accuracy: four standard deviations of their difference.
        samples = 1 / step["images"] + 1 / bundle.manifest.validation_images
        spread = math.sqrt(max(step["expected"] * (1 - step["expected"]), 0.02) * samples)
        assert abs(step["accuracy"] - step["expected"]) < 4 * spread
    assert found["accuracy_all"] == found["steps"][0]["accuracy"] > 0.9
    assert found["accuracy_after_kill"] == found["steps"][-1]["accuracy"]
    assert found["expected_after_kill"] == found["steps"][-1]["expected"]
    assert found["accuracy_teacher"] > 0.95


@pytest.mark.parametrize("arguments", [["--kill", "8"], ["--kill", "-1"], ["--devices", "0"]])
def test_a_demo_without_survivors_is_refused(arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "nonn", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1

"""From active faults to what proxies and devices are told."""

import json
from random import Random
from typing import Any

import pytest

from fault_lab.grounds.controls import OF_DEVICES, OF_LINKS, Controls, needs_mischief, needs_proxy
from fault_lab.mischief import HONEST, Answers, Mischief, read_mischief
from fault_lab.proxy import LINKS, Flapping, LinkState, Toxics
from fault_lab.proxy.control import SOUND, read_links
from fault_lab.scenario import FAULTS, Injection
from fault_lab.scenario.model import Cluster
from tests.fault_lab.laboratory import injection, make_scenario

FACTS: dict[str, dict[str, Any]] = {
    "latency": {"latency": 0.1, "jitter": 0.02},
    "bandwidth": {"rate": 20000.0},
    "flapping": {"up": 1.0, "down": 2.0},
    "slow": {"factor": 10.0},
    "late": {"delay": 0.5},
    "clock_jump": {"seconds": 60.0},
}
SEED = 40
FAR = 0.1, 0.02  # latency and jitter


def of_group(groups: frozenset[Any]) -> list[str]:
    return [name for name, fault in FAULTS.items() if fault.group in groups]


@pytest.fixture
def controls() -> Controls:
    return Controls(Cluster(devices=3), SEED)


def begun(controls: Controls, name: str, device: int = 1, number: int = 0, **facts: Any) -> Injection:
    injected = injection(device, name, number, **{**FACTS.get(name, {}), **facts})
    controls.begin(injected)
    return injected


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("latency", {}, LinkState(Toxics(*FAR), Toxics(*FAR))),
        ("latency", {"stream": "upstream"}, LinkState(upstream=Toxics(*FAR))),
        ("bandwidth", {"stream": "downstream"}, LinkState(downstream=Toxics(bandwidth=20000.0))),
        ("timeout", {}, LinkState(Toxics(timeout=True), Toxics(timeout=True))),
        ("timeout", {"stream": "upstream"}, LinkState(Toxics(timeout=True))),
        ("down", {}, LinkState(enabled=False)),
        ("flapping", {}, LinkState(flapping=Flapping(up=1.0, down=2.0))),
        ("reset_peer", {}, LinkState(resets=1)),
    ],
)
def test_what_a_proxy_is_told(
    controls: Controls, name: str, facts: dict[str, Any], expected: LinkState
) -> None:
    begun(controls, name, **facts)
    assert [controls.link(device) for device in range(3)] == [SOUND, expected, SOUND]


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("slow", {}, Mischief(slow=10.0)),
        ("late", {"toxicity": 0.3}, Mischief(answers=Answers("late", 0.3, 0.5, SEED + 1))),
        *[
            (name, {"toxicity": 0.3}, Mischief(answers=Answers(name, 0.3, seed=SEED + 1)))
            for name in ("corrupt", "nan", "wrong_shape", "duplicate", "refuse")
        ],
        ("mute", {}, Mischief(answers=Answers("mute"))),
        ("disk_full", {}, Mischief(disk_full=True)),
        ("clock_jump", {}, Mischief(clock=60.0)),
    ],
)
def test_what_a_device_is_told(
    controls: Controls, name: str, facts: dict[str, Any], expected: Mischief
) -> None:
    begun(controls, name, **facts)
    assert [controls.conduct(device) for device in range(3)] == [HONEST, expected, HONEST]


def test_a_link_without_faults_is_what_the_cluster_has() -> None:
    controls, wifi = Controls(Cluster(devices=1, link="wifi"), SEED), LINKS["wifi"].toxics
    assert controls.link(0) == LinkState(wifi, wifi)
    slowed = begun(controls, "latency", device=0, number=1, stream="upstream")
    narrowed = begun(controls, "bandwidth", device=0, number=2, stream="upstream")
    link = controls.link(0)
    assert link.downstream == wifi
    assert link.upstream.latency == pytest.approx(wifi.latency + 0.1)
    assert link.upstream.jitter == pytest.approx(wifi.jitter + 0.02)
    assert link.upstream.bandwidth == 20000.0
    controls.end(slowed)
    controls.end(narrowed)
    assert controls.link(0) == LinkState(wifi, wifi)


def test_a_bandwidth_wider_than_the_link_changes_nothing() -> None:
    controls, slow = Controls(Cluster(devices=1, link="slow"), SEED), LINKS["slow"].toxics
    begun(controls, "bandwidth", device=0, rate=1e9)
    assert controls.link(0) == LinkState(slow, slow)


def test_resets_and_clocks_only_go_forward(controls: Controls) -> None:
    for number in range(3):
        controls.end(begun(controls, "reset_peer", number=number))
        controls.end(begun(controls, "clock_jump", number=number + 3))
    assert controls.link(1).resets == 3
    assert controls.conduct(1).clock == 180.0


@pytest.mark.parametrize("seed", range(20))
def test_all_is_as_before_when_everything_is_over(seed: int) -> None:
    random = Random(seed)
    controls = Controls(Cluster(devices=3, link=random.choice([None, *LINKS])), seed)
    before = controls.proxy(), [controls.mischief(device) for device in range(3)]
    lasting = [name for name in of_group(OF_LINKS | OF_DEVICES) if not FAULTS[name].instant]
    active = [begun(controls, random.choice(lasting), random.randrange(3), number) for number in range(10)]
    assert before != (controls.proxy(), [controls.mischief(device) for device in range(3)])
    random.shuffle(active)
    for each in active:
        controls.end(each)
    assert before == (controls.proxy(), [controls.mischief(device) for device in range(3)])


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_a_link_or_a_device_is_told_and_no_other(controls: Controls, name: str) -> None:
    device = -1 if FAULTS[name].of_aggregator else 1
    begun(controls, name, device)
    assert (controls.link(device) != SOUND) == (name in of_group(OF_LINKS))
    assert (controls.conduct(device) != HONEST) == (name in of_group(OF_DEVICES))


@pytest.mark.parametrize("name", of_group(OF_LINKS | OF_DEVICES))
def test_the_documents_say_the_same(controls: Controls, name: str) -> None:
    begun(controls, name)
    links = json.loads(json.dumps(controls.proxy(), allow_nan=False))
    assert read_links(links) == {f"device-{device}": controls.link(device) for device in range(3)}
    mischief = json.loads(json.dumps(controls.mischief(1), allow_nan=False))
    assert read_mischief(mischief) == controls.conduct(1)


@pytest.mark.parametrize("name", FAULTS)
def test_proxies_and_disobedient_devices_are_there_only_when_needed(name: str) -> None:
    target = {} if FAULTS[name].of_aggregator else {"target": "all"}
    scenario = make_scenario({"type": name, "at": 1.0, **target, **FACTS.get(name, {})})
    assert needs_proxy(scenario) == (name in of_group(OF_LINKS))
    assert needs_mischief(scenario) == (name in of_group(OF_DEVICES))


def test_a_link_needs_a_proxy_and_nothing_needs_none() -> None:
    assert needs_proxy(make_scenario(link="wifi"))
    assert not needs_proxy(make_scenario())
    assert not needs_mischief(make_scenario(link="wifi"))

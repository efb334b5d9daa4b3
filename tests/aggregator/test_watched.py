"""The promises that simulations check hold on a real server too."""

import asyncio

import pytest

from aggregator import Core, Model, Settings
from bundle import Bundle
from fault_lab.invariants import Watch
from tests.aggregator.scripted import PATIENT, QUICK, images, request, run, serving


class Watches:
    """Stands for `Core` where the driver makes one; keeps what it found."""

    def __init__(self) -> None:
        self.made: list[Watch] = []

    def __call__(self, model: Model, settings: Settings) -> Watch:
        self.made.append(Watch(Core(model, settings)))
        return self.made[-1]


@pytest.fixture
def watches(monkeypatch: pytest.MonkeyPatch) -> Watches:
    made = Watches()
    monkeypatch.setattr("aggregator.driver.Core", made)
    return made


def test_devices_come_and_go_under_load(bundle: Bundle, watches: Watches) -> None:
    async def ask(client: object, count: int) -> None:
        for number in range(count):
            await client.Predict(request(images(1 + number % 5)), timeout=PATIENT)  # type: ignore[attr-defined]

    async def test() -> None:
        async with serving(bundle, QUICK, devices=3) as cluster:
            client = await cluster.client()
            load = [asyncio.create_task(ask(client, 30)) for _ in range(4)]
            await cluster.device("d1")
            late = await cluster.device("late")
            late.call.cancel()
            await cluster.gone("late")
            await asyncio.gather(*load)

    run(test)
    (watch,) = watches.made
    assert watch.violations == []
    lines = list(watch.history.lines())
    assert sum("< Answer(" in line for line in lines) == 120
    assert any("< CloseLink(" in line for line in lines), "d1 has joined again"

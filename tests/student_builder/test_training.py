import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bundle.errors import StorageError
from student_builder import training
from student_builder.errors import ExperimentError
from student_builder.experiment import Schedule
from student_builder.files import read_tensors, write_json
from student_builder.networks import WideResNet
from student_builder.progress import Silent
from student_builder.training import Batch, Pixels, Step, Trainer, one_cycle

SCHEDULE = Schedule(epochs=3, batch_size=8, crop_padding=1, cutout=2, small_epochs=1, small_size=6)
STEPS = 3 * 5  # 40 images


class Stopped(Exception):
    """What stands for a crash."""


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 8, 8, 1), np.uint8)
    return Pixels(images, random.integers(0, 4, 40), (0.5,), (0.25,))


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return WideResNet(10, 0.25, 1, 4)


def step_of(
    network: nn.Module, stop_at: int | None = None, loss_of: Callable[[int], float] | None = None
) -> Step:
    """An honest step that raises, or says another loss, at one of its calls."""
    calls = 0

    def step(batch: Batch, generator: torch.Generator) -> float:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise Stopped
        noise = torch.rand(batch.images.shape, generator=generator)
        loss = functional.cross_entropy(network(batch.images + 0.1 * noise), batch.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item() if loss_of is None else loss_of(calls)

    return step


def train(
    pixels: Pixels,
    folder: Path,
    seed: int = 0,
    fingerprint: str = "f",
    schedule: Schedule = SCHEDULE,
    **step: Any,
) -> tuple[nn.Module, dict[str, Any]]:
    net = network(0 if not (folder / "state.safetensors").exists() else 99)
    trainer = Trainer(
        net, schedule, pixels, seed=seed, state_file=folder / "state.safetensors", fingerprint=fingerprint
    )

    def validate() -> float:
        net.eval()
        images, labels = pixels.batch(slice(0, 20))
        return training.accuracy(net(images), labels)

    result = trainer.run("train", step_of(net, **step), validate, Silent())
    return net, {key: value for key, value in result.items() if key != "seconds"}


@pytest.fixture(scope="module")
def whole(pixels: Pixels, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, dict[str, Any]]:
    """A run that nobody stopped."""
    return train(pixels, tmp_path_factory.mktemp("whole"))


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("seconds", [-1.0, 1e9], ids=["saved at every step", "saved at every epoch"])
@pytest.mark.parametrize("stops", [(7,), (6,), (STEPS,), (3, 3, 4)])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    stops: tuple[int, ...],
    seconds: float,
    pixels: Pixels,
    whole: tuple[nn.Module, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", seconds)
    for stop in stops:
        with pytest.raises(Stopped):
            train(pixels, tmp_path, stop_at=stop)
    network, report = train(pixels, tmp_path)
    assert_same(network, whole[0])
    assert report == whole[1]


def test_a_stopped_run_does_not_begin_again(pixels: Pixels, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(pixels, tmp_path, stop_at=12)
    with pytest.raises(Stopped):
        train(pixels, tmp_path, stop_at=5)  # the last 5 steps are all that is left
    train(pixels, tmp_path, stop_at=6)


def test_the_report_tells_every_epoch_and_the_best(whole: tuple[nn.Module, dict[str, Any]]) -> None:
    _, report = whole
    history = [entry["validation_accuracy"] for entry in report["history"]]
    assert [entry["epoch"] for entry in report["history"]] == [1, 2, 3]
    assert report["best_validation_accuracy"] == max(history)
    assert history[report["best_epoch"] - 1] == max(history)


def test_the_network_ends_with_the_best_weights(pixels: Pixels, tmp_path: Path) -> None:
    accuracies = iter([0.2, 0.9, 0.4])
    net = network(0)
    trainer = Trainer(
        net, SCHEDULE, pixels, seed=0, state_file=tmp_path / "state.safetensors", fingerprint="f"
    )
    seen = []

    def validate() -> float:
        seen.append({name: value.clone() for name, value in net.state_dict().items()})
        return next(accuracies)

    result = trainer.run("train", step_of(net), validate, Silent())
    assert result["best_epoch"] == 2
    for name, value in net.state_dict().items():
        assert torch.equal(value, seen[1][name])
    assert not net.training


def test_another_seed_trains_otherwise(
    pixels: Pixels, whole: tuple[nn.Module, dict[str, Any]], tmp_path: Path
) -> None:
    net, _ = train(pixels, tmp_path, seed=1)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(net.state_dict().values(), whole[0].state_dict().values(), strict=True)
    )


def test_the_largest_seed(pixels: Pixels, tmp_path: Path) -> None:
    train(pixels, tmp_path, seed=2**32 - 1, schedule=SCHEDULE.model_copy(update={"epochs": 1}))


@pytest.mark.parametrize("damage", ["other fingerprint", "truncated", "no safetensors"])
def test_a_state_that_does_not_hold_is_not_used(
    damage: str, pixels: Pixels, whole: tuple[nn.Module, dict[str, Any]], tmp_path: Path
) -> None:
    state = tmp_path / "state.safetensors"
    with pytest.raises(Stopped):
        train(pixels, tmp_path, fingerprint="old" if damage == "other fingerprint" else "f", stop_at=8)
    if damage == "truncated":
        state.write_bytes(state.read_bytes()[:-9])
    if damage == "no safetensors":
        state.write_text("{}")
    with pytest.raises(Stopped):
        train(pixels, tmp_path, stop_at=STEPS)  # from the very beginning: no step is skipped


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_diverged_training_ends_in_one_line(loss: float, pixels: Pixels, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError) as caught:
        train(pixels, tmp_path, loss_of=lambda call: loss if call == 7 else 1.0)
    assert str(caught.value) == f"train: the loss is {loss} in epoch 2: lower the learning_rate, now 0.2"
    found = read_tensors(tmp_path / "state.safetensors")
    assert found is not None
    assert all(tensor.isfinite().all() for tensor in found[0].values())


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 4 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_keeps_the_earlier_state(pixels: Pixels, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(pixels, tmp_path, stop_at=8)
    state = tmp_path / "state.safetensors"
    before = state.read_bytes()
    with full_disk(), pytest.raises(StorageError) as caught:
        train(pixels, tmp_path)
    assert str(caught.value).startswith(f"cannot write {state}: ")
    assert state.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [state.name]
    with full_disk(), pytest.raises(StorageError, match=r"cannot write .*report\.json: File too large"):
        write_json(tmp_path / "report.json", {"text": "x" * 5000})
    assert [path.name for path in tmp_path.iterdir()] == [state.name]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*file/report\.json: "):
        write_json(tmp_path / "file" / "report.json", {})


def test_one_cycle() -> None:
    shares = np.linspace(0, 1, 101)
    rates = [one_cycle(share, 0.2) for share in shares]
    assert rates[0] == 0
    assert rates[10] == pytest.approx(0.5)
    assert rates[20] == 1 == max(rates)
    assert rates[60] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert np.all(np.diff(rates[:21]) > 0)
    assert np.all(np.diff(rates[20:]) < 0)
    assert one_cycle(0, 0) == 1
    assert one_cycle(0.5, 1) == 0.5


def test_pixels_are_normalised_channel_by_channel() -> None:
    images = np.array([[[[0, 255]]], [[[51, 102]]]], np.uint8)
    batch, labels = Pixels(images, np.array([3, 1]), (0.0, 0.5), (1.0, 0.5)).batch(slice(0, 2))
    np.testing.assert_allclose(batch.numpy(), [[[[0]], [[1]]], [[[0.2]], [[-0.2]]]], atol=1e-6)
    assert labels.tolist() == [3, 1]


@pytest.mark.parametrize("size", [1, 7, 40, 100])
def test_batches_cover_every_image_once(size: int, pixels: Pixels) -> None:
    batches = list(pixels.batches(size))
    assert torch.equal(torch.cat([images for images, _ in batches]), pixels.batch(slice(0, 40))[0])
    assert [len(labels) for _, labels in batches[:-1]] == [size] * (len(batches) - 1)

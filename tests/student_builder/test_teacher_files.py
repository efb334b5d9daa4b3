import io
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from student_builder.errors import TeacherError
from student_builder.networks import WideResNet
from student_builder.teacher_files import build_network, load_class, load_weights

State = dict[str, Any]
MODULE = "import torch\nclass Net(torch.nn.Linear):\n    def __init__(self, width=2):\n"
BODY = "        super().__init__(width, 3)\n"


def network(seed: int = 0, width: float = 0.25) -> WideResNet:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return WideResNet(10, width, 1, 4)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def refused(path: Path, into: nn.Module | None = None) -> str:
    into = into or network()
    before = {name: tensor.clone() for name, tensor in into.state_dict().items()}
    with pytest.raises(TeacherError) as caught:
        load_weights(into, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in into.state_dict().items())
    return str(caught.value)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": state, "optimizer": {}},
        lambda state: {"model_state_dict": state},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {f"_orig_mod.module.{key}": value for key, value in state.items()},
        lambda state: {key: value for key, value in state.items() if "num_batches" not in key},
    ],
    ids=["plain", "state_dict", "model", "model_state_dict", "parallel", "compiled", "without counters"],
)
def test_checkpoints_as_people_write_them(wrap: Callable[[State], State], tmp_path: Path) -> None:
    saved, loaded = network(1), network(2)
    torch.save(wrap(saved.state_dict()), tmp_path / "weights.pt")
    assert not same(saved, loaded)
    load_weights(loaded, tmp_path / "weights.pt")
    assert same(saved, loaded)


def test_safetensors(tmp_path: Path) -> None:
    saved, loaded = network(1), network(2)
    save_file(saved.state_dict(), tmp_path / "weights.safetensors")
    load_weights(loaded, tmp_path / "weights.safetensors")
    assert same(saved, loaded)


def test_a_network_whose_own_part_is_called_module(tmp_path: Path) -> None:
    saved, loaded = (nn.ModuleDict({"module": network(seed)}) for seed in (1, 2))
    torch.save(saved.state_dict(), tmp_path / "weights.pt")
    load_weights(loaded, tmp_path / "weights.pt")
    assert same(saved, loaded)


def test_weights_that_are_missing(tmp_path: Path) -> None:
    assert "there is no weight file" in refused(tmp_path / "gone.pt")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("keep", [0, 7, 500])
def test_weights_that_are_truncated(suffix: str, keep: int, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:keep])
    refused(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("classifier.bias"), "it lacks classifier.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "it has unknown extra"),
        (
            lambda state: state.update({"classifier.bias": torch.zeros(7)}),
            "has other shapes for classifier.bias",
        ),
        (lambda state: state.update({"classifier.bias": 3}), "has other shapes for classifier.bias"),
        (lambda state: state.update({5: torch.zeros(1)}), "it has unknown 5"),
        (lambda state: state.clear(), "more"),
    ],
)
def test_weights_that_do_not_fit(change: Callable[[State], Any], said: str, tmp_path: Path) -> None:
    state = dict(network().state_dict())
    change(state)
    torch.save(state, tmp_path / "weights.pt")
    assert said in refused(tmp_path / "weights.pt")


def test_weights_of_another_width(tmp_path: Path) -> None:
    torch.save(network(width=0.5).state_dict(), tmp_path / "weights.pt")
    message = refused(tmp_path / "weights.pt")
    assert "has other shapes for" in message
    assert "teacher.arguments" in message


def test_a_tensor_alone(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "weights.pt")
    assert "holds a Tensor" in refused(tmp_path / "weights.pt")


def test_a_whole_pickled_network_is_not_read(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "weights.pt")
    assert "torch.save(network.state_dict()" in refused(tmp_path / "weights.pt")


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_checkpoint_is_not_executed(name: str, zipped: bool, tmp_path: Path) -> None:
    path, marker = tmp_path / name, tmp_path / "executed"
    state = {**network().state_dict(), "extra": Malicious(marker)}
    if zipped:
        torch.save(state, path)
    else:
        path.write_bytes(pickle.dumps(state))
    refused(path)
    assert not marker.exists()
    content = io.BytesIO(path.read_bytes())
    torch.load(content, weights_only=False) if zipped else pickle.load(content)
    assert marker.exists()  # the file would have done it


def test_a_module_beside_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WIDTH = 7\n")
    (tmp_path / "net.py").write_text(
        "from helper import WIDTH\n" + MODULE.replace("width=2", "width=WIDTH") + BODY
    )
    before = list(sys.path)
    try:
        built = build_network("net.py:Net", {}, tmp_path)
        assert isinstance(built, nn.Linear)
        assert built.in_features == 7
        assert build_network("net.py:Net", {"width": 4}, tmp_path).get_parameter("weight").shape == (3, 4)
    finally:
        sys.modules.pop("helper", None)
    assert sys.path == before


def test_an_installed_module() -> None:
    assert load_class("student_builder.networks:WideResNet", Path()) is WideResNet


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("gone.py:Net", "there is no teacher module"),
        ("no_such_package.nets:Net", "teacher module 'no_such_package.nets' does not import"),
        ("net.py", "must read path/to/module.py:Class"),
        ("net.py:", "must read path/to/module.py:Class"),
        (":Net", "must read path/to/module.py:Class"),
        ("net.py:Other", "there is no network class 'Other' in net.py; it has Net"),
        ("net.py:torch", "there is no network class 'torch'"),
        ("student_builder.errors:DataError", "it has none at all"),
    ],
)
def test_modules_and_classes_that_are_not_there(reference: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODULE + BODY)
    with pytest.raises(TeacherError) as caught:
        load_class(reference, tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("class Net(", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise ValueError('one\\ntwo')", "ValueError: one two"),
    ],
)
def test_a_module_that_does_not_load(code: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(code)
    with pytest.raises(TeacherError) as caught:
        load_class("broken.py:Net", tmp_path)
    assert "broken.py does not load: " in str(caught.value)
    assert said in str(caught.value)
    assert "nonn_teacher_broken" not in sys.modules


def test_arguments_that_the_class_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODULE + BODY)
    with pytest.raises(TeacherError, match=r"net\.py:Net cannot be made from .*TypeError.*classes"):
        build_network("net.py:Net", {"classes": 3}, tmp_path)


def test_the_weights_arrive_in_the_networks_own_type(tmp_path: Path) -> None:
    saved, loaded = network(1), network(2)
    halves: dict[str, Tensor] = {key: value.half() for key, value in saved.state_dict().items()}
    torch.save(halves, tmp_path / "weights.pt")
    load_weights(loaded, tmp_path / "weights.pt")
    weight = loaded.classifier.weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, saved.classifier.weight.half().float())


def test_a_network_that_ends_the_process_when_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODULE + "        raise SystemExit(3)\n")
    with pytest.raises(TeacherError, match="cannot be made from"):
        build_network("net.py:Net", {}, tmp_path)

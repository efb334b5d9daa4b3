"""A user's own classifier as a teacher: its module, its weights, its last feature map and classifier."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from student_builder.errors import TeacherError
from student_builder.precision import autocast

TOLERANCE = 1e-3


@dataclass(frozen=True)
class Teacher:
    """A network that ends in: feature map [N, C, H, W] -> global average pooling -> linear layer (W, b)."""

    network: nn.Module
    features: str
    classifier: str

    @property
    def linear(self) -> nn.Linear:
        layer = self.network.get_submodule(self.classifier)
        assert isinstance(layer, nn.Linear)
        return layer

    @property
    def filters(self) -> int:
        return self.linear.in_features

    @property
    def classes(self) -> int:
        return self.linear.out_features

    @property
    def weight(self) -> Tensor:
        """W, float32 [classes, filters]."""
        return self.linear.weight.detach().float()

    @property
    def bias(self) -> Tensor:
        """b, float32 [classes]; zeros where the layer has none."""
        bias = self.linear.bias
        return torch.zeros(self.classes) if bias is None else bias.detach().float()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images [N, C, H, W] -> (pooled features [N, filters], logits [N, classes]), float32."""
        caught: list[Tensor] = []
        hook = self.linear.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
        try:
            with autocast():
                logits = self.network(images)
        finally:
            hook.remove()
        return caught[-1].float(), logits.float()


def load_class(reference: str, base: Path) -> type[nn.Module]:
    """The network class of `path/to/module.py:Class` or `package.module:Class`.

    Raises:
        TeacherError: where the module or the class is not there, or does not load.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise TeacherError(
            f"teacher module {reference!r} must read path/to/module.py:Class or package.module:Class"
        )
    module = _load_file(base / Path(place).expanduser()) if place.endswith(".py") else _load_package(place)
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        choices = sorted(
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, nn.Module)
        )
        raise TeacherError(
            f"there is no network class {name!r} in {place}; it has {', '.join(choices) or 'none at all'}"
        )
    return found


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TeacherError(f"there is no teacher module {path}")
    spec = importlib.util.spec_from_file_location(f"nonn_teacher_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _own_folder_importable(path.resolve().parent):
        sys.modules[spec.name] = module  # dataclasses and annotations look their module up there
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise TeacherError(f"{path} does not load: {type(error).__name__}: {error}") from error
    return module


@contextmanager
def _own_folder_importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _load_package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TeacherError(f"teacher module {name!r} does not import: {error}") from error


def build_network(reference: str, arguments: dict[str, Any], base: Path) -> nn.Module:
    """An instance of the class, its weights as initialised."""
    factory = load_class(reference, base)
    try:
        return factory(**arguments)
    except Exception as error:
        raise TeacherError(
            f"{reference} cannot be made from {arguments}: {type(error).__name__}: {error}"
        ) from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a .safetensors file or a checkpoint that torch reads with `weights_only`.

    Raises:
        TeacherError: where the file is missing or damaged, or does not fit the network.
    """
    state = _read_state(path)
    for nested in ("state_dict", "model", "model_state_dict"):
        if isinstance(state.get(nested), dict):
            state = state[nested]
    state = {key.removeprefix("module."): value for key, value in state.items()}
    own = network.state_dict()
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in own]
    misfits = [key for key in own if key in state and own[key].shape != getattr(state[key], "shape", None)]
    for keys, what in ((missing, "lacks"), (unknown, "has unknown"), (misfits, "has other shapes for")):
        if keys:
            rest = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise TeacherError(f"{path} does not fit the teacher: it {what} {', '.join(keys[:3])}{rest}")
    network.load_state_dict(state, strict=False)


def _read_state(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise TeacherError(f"there is no weight file {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format raises its own for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TeacherError(f"{path} is not a readable weight file: {reason}") from error
    if not isinstance(state, dict):
        raise TeacherError(f"{path} holds a {type(state).__name__}, not a state dictionary")
    return state


def find_teacher(network: nn.Module, probe: Tensor, features: str | None, classifier: str | None) -> Teacher:
    """Find, or check where they are named, the last feature map and the linear classifier.

    The network is run once on `probe` [N, C, H, W], N >= 2. The classifier is the linear layer whose output
    is the network's; the last feature map is the last module whose [N, C, H, W] output, averaged over H and
    W, is the classifier's input. That holds for any way of writing the network, residual sums included.

    Raises:
        TeacherError: naming the layers that there are, where none fits.
    """
    network.eval()
    maps, linears, logits = _run(network, probe)
    classifier = _find_classifier(network, linears, logits, classifier)
    pooled = linears[classifier][0]
    fitting = [name for name, output in maps.items() if _pools_to(output, pooled)]
    if features is None:
        spatial = [name for name in fitting if maps[name].shape[2] * maps[name].shape[3] > 1]
        if not fitting:
            raise TeacherError(
                f"no module's output, averaged over its map, is the input of {classifier!r}: the teacher "
                "must end in feature map -> global average pooling -> linear layer"
            )
        features = (spatial or fitting)[-1]
    elif features not in maps:
        raise TeacherError(
            f"teacher.features {features!r} gives no feature map; these do: {_some(list(maps))}"
        )
    elif features not in fitting:
        raise TeacherError(
            f"between {features!r} and {classifier!r} there is more than global average pooling; "
            f"these would fit: {_some(fitting)}"
        )
    return Teacher(network, features, classifier)


def _run(
    network: nn.Module, probe: Tensor
) -> tuple[dict[str, Tensor], dict[str, tuple[Tensor, Tensor]], Tensor]:
    maps: dict[str, Tensor] = {}
    linears: dict[str, tuple[Tensor, Tensor]] = {}

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                maps.pop(name, None)  # keep the order of the last call
                maps[name] = output
            if isinstance(module, nn.Linear):
                linears[name] = (inputs[0], output)

        return hook

    hooks = [module.register_forward_hook(watch(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            logits = network(probe)
    except Exception as error:
        raise TeacherError(
            f"the teacher does not take images of {list(probe.shape[1:])} (channels, height, width): {error}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not (isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == len(probe)):
        raise TeacherError("the teacher must return one tensor of logits [N, classes]")
    return maps, linears, logits


def _find_classifier(
    network: nn.Module, linears: dict[str, tuple[Tensor, Tensor]], logits: Tensor, named: str | None
) -> str:
    final = [
        name
        for name, (_, output) in linears.items()
        if output.shape == logits.shape and _close(output, logits)
    ]
    if named is None:
        if not final:
            last = list(network.named_modules())[-1]
            raise TeacherError(
                "the teacher has no final linear layer: its output must be that of a torch.nn.Linear "
                f"(its last module is {last[0]!r}, a {type(last[1]).__name__})"
            )
        return final[-1]
    if named not in final:
        raise TeacherError(
            f"teacher.classifier {named!r} is not a linear layer that gives the teacher's output; "
            f"linear layers are: {_some(list(linears))}"
        )
    return named


def _pools_to(feature_map: Tensor, pooled: Tensor) -> bool:
    return feature_map.shape[:2] == pooled.shape and _close(feature_map.mean((2, 3)), pooled)


def _close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a.float(), b.float(), atol=TOLERANCE, rtol=TOLERANCE)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[-8:])
    return f"..., {shown}" if len(names) > 8 else shown or "none"

"""A user's own network: its class from a module, its weights from a file."""

import importlib
import importlib.util
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from student_builder.errors import TeacherError


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
        except (Exception, SystemExit) as error:
            del sys.modules[spec.name]
            raise TeacherError(f"{path} does not load: {_reason(error)}") from error
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
    except (Exception, SystemExit) as error:
        raise TeacherError(f"teacher module {name!r} does not import: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def build_network(reference: str, arguments: dict[str, Any], base: Path) -> nn.Module:
    """An instance of the class, its weights as initialised."""
    factory = load_class(reference, base)
    try:
        return factory(**arguments)
    except (Exception, SystemExit) as error:
        raise TeacherError(f"{reference} cannot be made from {arguments}: {_reason(error)}") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Load a .safetensors file or a checkpoint that torch reads with `weights_only`.

    Raises:
        TeacherError: where the file is missing or damaged, or does not fit the network.
    """
    state = _read_state(path)
    for nested in ("state_dict", "model", "model_state_dict"):
        if isinstance(state.get(nested), dict):
            state = state[nested]
    own = network.state_dict()
    state = {_without_wrapper(str(key), own): value for key, value in state.items()}
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in own]
    misfits = [key for key in own if key in state and own[key].shape != getattr(state[key], "shape", None)]
    for keys, what in ((missing, "lacks"), (unknown, "has unknown"), (misfits, "has other shapes for")):
        if keys:
            rest = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise TeacherError(
                f"{path} does not fit the teacher: it {what} {', '.join(keys[:3])}{rest}; "
                "look at teacher.arguments"
            )
    network.load_state_dict(state, strict=False)


def _without_wrapper(key: str, own: dict[str, Any]) -> str:
    """The key as it is without DataParallel or torch.compile around the network."""
    return key if key in own else key.removeprefix("_orig_mod.").removeprefix("module.")


def _read_state(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise TeacherError(f"there is no weight file {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise TeacherError(
            f"{path} is no checkpoint of plain tensors, which alone are safe to read: "
            "save it again by torch.save(network.state_dict(), ...)"
        ) from error
    except Exception as error:  # each format raises its own for a damaged file
        raise TeacherError(f"{path} is not a readable weight file: {_reason(error)}") from error
    if not isinstance(state, dict):
        raise TeacherError(f"{path} holds a {type(state).__name__}, not a state dictionary")
    return state

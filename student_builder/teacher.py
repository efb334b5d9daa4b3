"""A user's own classifier as a teacher: its last feature map, its pooled features, its linear classifier."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from student_builder.errors import TeacherError
from student_builder.precision import autocast

TOLERANCE = 1e-3


@dataclass(frozen=True)
class Teacher:
    """A network that ends in: feature map [N, C, H, W] -> global average pooling -> linear layer (W, b)."""

    network: nn.Module
    features: str
    """The module that makes the feature map, or `name()` of the function that does."""
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


def find_teacher(network: nn.Module, probe: Tensor, features: str | None, classifier: str | None) -> Teacher:
    """Find, or check where they are named, the last feature map and the linear classifier.

    The network is run once on `probe` [N, C, H, W]. The classifier is the linear layer whose output is the
    network's; the last feature map is the last [N, C, H, W] whose average over H and W is the classifier's
    input: a module's output, or else that of a function in the network's own code. That holds for any way of
    writing the network, residual sums included.

    Raises:
        TeacherError: naming the layers that there are, where none fits.
    """
    network.eval()
    seen = _watch(network, probe)
    classifier = _find_classifier(network, seen, classifier)
    return Teacher(network, _find_features(seen, classifier, features), classifier)


@dataclass(frozen=True)
class _Map:
    """What is kept of a feature map: a later in-place operation cannot change it, and it is small."""

    pooled: Tensor
    """[N, C]"""
    spatial: bool
    """Whether it is larger than 1x1."""

    @classmethod
    def of(cls, output: Tensor) -> "_Map":
        return cls(output.float().mean((2, 3)), output.shape[2] * output.shape[3] > 1)


@dataclass(frozen=True)
class _Seen:
    """One pass of a network."""

    maps: dict[str, _Map]
    """By module, in the order of their last calls."""
    functions: dict[str, _Map]
    """By the name of the torch function that made it, in the same order."""
    linears: dict[str, tuple[Tensor, Tensor]]
    """Input and output of each linear layer."""
    logits: Tensor


class _FunctionWatch(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.maps: dict[str, _Map] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if isinstance(output, Tensor) and output.ndim == 4:
            name = f"{getattr(func, '__name__', 'function')}()"
            self.maps.pop(name, None)
            self.maps[name] = _Map.of(output)
        return output


def _watch(network: nn.Module, probe: Tensor) -> _Seen:
    maps: dict[str, _Map] = {}
    linears: dict[str, tuple[Tensor, Tensor]] = {}

    def hook_of(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                maps.pop(name, None)  # keep the order of the last call
                maps[name] = _Map.of(output)
            if isinstance(module, nn.Linear):
                linears[name] = (inputs[0].clone(), output.clone())

        return hook

    hooks = [module.register_forward_hook(hook_of(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad(), _FunctionWatch() as functions:
            logits = network(probe)
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())
        raise TeacherError(
            f"the teacher does not take images of {list(probe.shape[1:])} (channels, height, width): {reason}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not (isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == len(probe)):
        raise TeacherError("the teacher must return one tensor of logits [N, classes]")
    if not logits.isfinite().all():
        raise TeacherError("the teacher's logits are not finite: its weights are damaged")
    return _Seen(maps, functions.maps, linears, logits)


def _find_classifier(network: nn.Module, seen: _Seen, named: str | None) -> str:
    final = [name for name, (_, output) in seen.linears.items() if _close(output, seen.logits)]
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
            f"linear layers are: {_some(list(seen.linears))}"
        )
    return named


def _find_features(seen: _Seen, classifier: str, named: str | None) -> str:
    pooled, _ = seen.linears[classifier]
    fitting, functions = (
        [name for name, found in maps.items() if _close(found.pooled, pooled)]
        for maps in (seen.maps, seen.functions)
    )
    if named is None:
        candidates = [*functions, *fitting]
        if not candidates:
            raise TeacherError(
                f"no feature map, averaged over height and width, is the input of {classifier!r}: "
                "the teacher must end in feature map -> global average pooling -> linear layer"
            )
        every = seen.functions | seen.maps
        return max(reversed(candidates), key=lambda name: every[name].spatial)
    if named not in seen.maps:
        raise TeacherError(
            f"teacher.features {named!r} gives no feature map; these do: {_some(list(seen.maps))}"
        )
    if named not in fitting:
        raise TeacherError(
            f"between {named!r} and {classifier!r} there is more than global average pooling; "
            f"these would fit: {_some(fitting)}"
        )
    return named


def _close(a: Tensor, b: Tensor) -> bool:
    """Equal, but for rounding in the scale of `b`: an untrained network's numbers may all be small."""
    if a.shape != b.shape:
        return False
    return bool((a.float() - b.float()).abs().max() <= TOLERANCE * b.float().abs().max())


def _some(names: list[str]) -> str:
    shown = ", ".join(names[-8:])
    return f"..., {shown}" if len(names) > 8 else shown or "none"

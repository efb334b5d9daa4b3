"""How numbers lie in memory while networks run: bfloat16 where the processor has it, channels last."""

from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


@cache
def has_bfloat16() -> bool:
    """Whether the processor has bfloat16 instructions; where they are only emulated float32 is faster."""
    x86 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    if any(getattr(torch.cpu, name, bool)() for name in x86):
        return True
    capability = torch.backends.cpu.get_cpu_capability()
    return capability.startswith("SVE") and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast() -> Any:
    """A context in which convolutions and matrix products run in bfloat16 where that is native."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=has_bfloat16())


def channels_last(network: Network) -> Network:
    """The layout in which convolutions are fastest on CPUs; torch's types do not know this way of `to`."""
    to: Any = network.to
    return cast(Network, to(memory_format=torch.channels_last))

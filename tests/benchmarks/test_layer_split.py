from collections.abc import Iterable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from benchmarks.layer_split import FeatureMap, Split, Stage, Traffic, Window, share, stages

IMAGE = FeatureMap(3, 32, 32)


def chain(layers: Iterable[tuple[int, int, int]]) -> list[Stage]:
    """Convolutions of (kernel, channels, rows in one after pooling)."""
    found: list[Stage] = []
    source = IMAGE
    for kernel, channels, pool in layers:
        windows = (Window(kernel, 1, kernel // 2, source.rows), Window(pool, pool, 0, source.rows))
        result = FeatureMap(channels, source.rows // pool, source.columns // pool)
        found.append(Stage(source, result, windows))
        source = result
    return found


LAYERS = st.tuples(st.sampled_from([1, 3, 5]), st.integers(1, 4), st.sampled_from([1, 2]))
CHAINS = st.lists(LAYERS, min_size=1, max_size=5).map(chain)


def rows_that_count(network: nn.Module, stage: Stage, rows: range) -> list[int]:
    """Rows of the input on which these rows of the output depend, found by differentiating."""
    source = stage.source
    x = torch.ones(1, source.channels, source.rows, source.columns, requires_grad=True)
    network(x)[:, :, rows.start : rows.stop].sum().backward()
    assert x.grad is not None
    return x.grad.abs().sum((0, 1, 3)).nonzero().flatten().tolist()


@pytest.mark.parametrize("devices", [1, 3, 8])
@pytest.mark.parametrize(
    ("kernel", "stride", "pool"), [(1, 1, 1), (3, 1, 1), (3, 1, 2), (3, 2, 1), (5, 1, 1), (5, 2, 2)]
)
def test_exactly_those_rows_are_needed_that_the_result_depends_on(
    kernel: int, stride: int, pool: int, devices: int
) -> None:
    convolution = nn.Conv2d(1, 1, kernel, stride, padding=kernel // 2)
    nn.init.uniform_(convolution.weight, 0.5, 1.0)
    network = nn.Sequential(convolution, nn.AvgPool2d(pool))
    (stage,) = stages(network, FeatureMap(1, 16, 8))
    for device in range(devices):
        rows = share(stage.result.rows, device, devices)
        assert list(stage.needed(rows)) == rows_that_count(network, stage, rows)


def test_the_layers_of_a_network_are_found() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 2, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(2, 5, 3, padding=1),
        nn.MaxPool2d(1),
    )
    assert stages(network, IMAGE) == chain([(3, 2, 2), (3, 5, 1)])


@given(rows=st.integers(1, 64), devices=st.integers(1, 12))
def test_every_row_has_one_device_and_none_has_much_more_than_another(rows: int, devices: int) -> None:
    shares = [share(rows, device, devices) for device in range(devices)]
    assert [row for own in shares for row in own] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(split=st.builds(Split, CHAINS, st.integers(1, 9)))
def test_what_devices_exchange_is_received_as_often_as_sent(split: Split) -> None:
    image, last = split.stages[0], split.stages[-1].result
    devices = range(split.devices)
    images = sum(
        image.source.numbers(len(image.needed(share(image.result.rows, d, split.devices)))) for d in devices
    )
    sums = 4 * last.channels * sum(bool(share(last.rows, d, split.devices)) for d in devices)
    found = split.exchanged()
    assert sum(one.down for one in found) - images == sum(one.up for one in found) - sums


@given(split=st.builds(Split, CHAINS, st.integers(1, 9)))
def test_a_group_owner_never_saves_traffic_to_a_device(split: Split) -> None:
    pairs = zip(split.exchanged(), split.gathered(), strict=True)
    assert all(exchanged.down <= gathered.down for exchanged, gathered in pairs)


@given(split=st.builds(Split, CHAINS, st.just(1)))
def test_one_device_exchanges_nothing(split: Split) -> None:
    assert split.exchanged() == [Traffic(3 * 32 * 32, 4 * split.stages[-1].result.channels)]


def test_two_devices_by_hand() -> None:
    split = Split(chain([(3, 2, 2), (3, 5, 1)]), 2)
    image = 3 * 17 * 32  # half of the rows, and one more
    row = 2 * 16 * 4  # of the map between the layers, 2 channels of 16 x 16
    sums = 5 * 4
    assert split.exchanged() == [Traffic(image + row, row + sums)] * 2
    assert split.gathered() == [Traffic(image + 9 * row, 8 * row + sums)] * 2


def test_a_network_that_is_no_chain_is_refused() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.shortcut = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            both: torch.Tensor = self.body(x) + self.shortcut(x)
            return both

    with pytest.raises(ValueError, match="the layer before it made"):
        stages(Branches(), IMAGE)


def test_a_network_that_skips_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="skips rows"):
        stages(nn.Conv2d(3, 1, 3, padding=2, dilation=2), IMAGE)

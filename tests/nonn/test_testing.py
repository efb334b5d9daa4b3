"""`nonn.testing` and `nonn_cluster`, used as a reader of the documentation would."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nonn.errors import UsageError
from nonn.testing import Cluster, NeverHappened

DIGITS = Path(__file__).parents[2] / "samples/digits"
pytestmark = pytest.mark.slow


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)


@pytest.mark.nonn_cluster(bundle=DIGITS, devices=8)
def test_a_device_that_goes_on_is_whole_at_once(nonn_cluster: Cluster, images) -> None:
    device = nonn_cluster.device("device-3")
    with device.paused():
        assert nonn_cluster.predict(images).missing == device.status.assigned
        device.wait_lost()
        time.sleep(1.0)  # by now what it was sent is of no use to anyone
    assert [nonn_cluster.predict(images).missing for _ in range(3)] == [()] * 3


@pytest.mark.nonn_cluster(bundle=DIGITS, devices=8)
def test_whatever_is_done_to_a_device_shows_and_is_over(nonn_cluster: Cluster, images) -> None:
    device = nonn_cluster.device("device-3")
    (student,) = device.students
    whole = nonn_cluster.predict(images)
    assert whole.missing == ()

    with device.paused():
        assert nonn_cluster.predict(images).missing == (student,)
        device.wait_lost()
        assert device.state == "suspect"
    with device.killed():
        assert nonn_cluster.predict(images).missing == (student,)
    with device.cut_off():
        device.wait_lost()
        assert nonn_cluster.predict(images).missing == (student,)
    with device.answering("nan"):
        assert nonn_cluster.predict(images).missing == (student,)
    with device.silenced(), nonn_cluster.device(0).killed():
        device.wait_lost()
        assert set(nonn_cluster.predict(images).missing) >= {student}
    with device.delayed(0.2):
        assert student in nonn_cluster.predict(images, policy="covered").missing
    device.restart()

    again = nonn_cluster.predict(images)
    assert again.missing == ()
    assert np.allclose(again.logits, whole.logits, atol=1e-4)


@pytest.mark.nonn_cluster(devices=8)
@pytest.mark.parametrize("time", range(3))
def test_a_device_that_has_hung_takes_part_at_once(nonn_cluster: Cluster, images, time: int) -> None:
    with nonn_cluster.device("device-3").paused():
        assert len(nonn_cluster.predict(images).missing) == 1
        nonn_cluster.device("device-3").wait_lost()
    assert nonn_cluster.predict(images).missing == ()


@pytest.mark.nonn_cluster(DIGITS, devices=3)
def test_blocks_may_be_nested_as_one_likes(nonn_cluster: Cluster, images) -> None:
    with nonn_cluster.device(1).paused(), nonn_cluster.aggregator_killed():
        pass
    with nonn_cluster.aggregator_paused(), nonn_cluster.device(1).killed():
        pass
    with nonn_cluster.device(0).killed(), nonn_cluster.device(1).paused():
        assert nonn_cluster.predict(images).answered == nonn_cluster.device(2).students
    assert nonn_cluster.predict(images).missing == ()


@pytest.mark.nonn_cluster(bundle=DIGITS, devices=2)
def test_the_aggregator_may_be_hurt_too(nonn_cluster: Cluster, images) -> None:
    with nonn_cluster.aggregator_paused():
        pass
    with nonn_cluster.aggregator_killed():
        pass
    assert nonn_cluster.predict(images).missing == ()


def test_what_makes_no_sense_is_said(images) -> None:
    before = set(Path(tempfile.gettempdir()).glob("nonn-*"))
    with pytest.raises(UsageError, match="link: 'wify' is none of"):
        Cluster(DIGITS, link="wify")
    assert set(Path(tempfile.gettempdir()).glob("nonn-*")) == before
    with Cluster(DIGITS, devices=1) as cluster:
        with pytest.raises(UsageError, match="device-0 to device-0"):
            cluster.device("device-7")
        with pytest.raises(UsageError, match="there are kill"), cluster.device(0).hurt("kil"):
            pass
        with pytest.raises(UsageError, match="latency"), cluster.device(0).hurt("latency"):
            pass
        with pytest.raises(NeverHappened, match="device-0 serving"):
            cluster.wait_until(lambda status: len(status.devices) == 2, seconds=0.2)
        assert cluster.predict(images).missing == ()


READERS_TEST = """\
import numpy as np

def test_a_hung_device_costs_no_answer(nonn_cluster):
    image = np.zeros((8, 8, 1), np.uint8)
    with nonn_cluster.device("device-3").paused():
        assert len(nonn_cluster.predict(image).missing) == 1
"""


def test_the_fixture_is_there_wherever_nonn_is_installed(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(READERS_TEST)
    words = ["-m", "pytest", "-q", "--strict-markers"]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout

"""A bundle on disk, and a cluster on a virtual clock."""

import numpy as np
import pytest

from bundle import Bundle, BundleContents, InputSpec, SelfTest, write_bundle
from tests.aggregator.virtual import Cluster


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """4 students, 2 parts, 3 classes, images [4, 4, 1]; any bytes stand for a student's model."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 4, 4, 1), dtype=np.uint8)
    contents = BundleContents(
        name="toy",
        input=InputSpec(4, 4, 1),
        labels=["a", "b", "c"],
        part_sizes=[2, 2],
        student_parts=(0, 1, 0, 1),
        student_models=[random.bytes(300_000 + index) for index in range(4)],
        parameters=[1] * 4,
        multiply_adds=[1] * 4,
        bias=np.ones(3),
        means=np.zeros((4, 3)),
        fill="zero",
        accuracy=np.array([np.nan, *np.linspace(0.1, 0.9, 15)], dtype=np.float32),
        validation_images=10,
        self_test=SelfTest(images, random.normal(size=(4, 2, 3)).astype(np.float32)),
    )
    return write_bundle(tmp_path_factory.mktemp("bundle") / "toy", contents)

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from bundle import Bundle
from student_builder import build, load_experiment
from tests.student_builder.small import write_experiment


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small gain nothing from more, and the tests share the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Built:
    """One whole build; nobody writes to it."""

    experiment: Path
    work: Path
    bundle: Bundle

    def copy(self, folder: Path) -> Path:
        """Its work folder, to be changed."""
        return Path(shutil.copytree(self.work, folder))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    path = write_experiment(folder)
    return Built(path, folder / "work", build(load_experiment(path), folder / "work"))

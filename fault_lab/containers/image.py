"""The image that lab clusters run: built from this checkout when there is none of its very content."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fault_lab.containers.engine import ContainersUnavailable, docker

ROOT: Final = Path(__file__).resolve().parents[2]
VARIABLE: Final = "NONN_IMAGE"
REPOSITORY: Final = "nonn-lab"
BUILD_SECONDS: Final = 600.0


def find_image(named: str | None = None, root: Path = ROOT) -> str:
    """The image's name. named: one that exists; else what NONN_IMAGE names; else that of the checkout `root`.

    Raises ContainersUnavailable when there is none and none can be built.
    """
    if wanted := named or os.environ.get(VARIABLE):
        if not _exists(wanted):
            raise ContainersUnavailable(
                f"the engine has no image {wanted!r}: pull or build it, or name another"
            )
        return wanted
    if not (root / "Dockerfile").is_file():
        raise ContainersUnavailable(
            f"there is no checkout to build an image from at {root}: name an image with {VARIABLE}=NAME"
        )
    image = f"{REPOSITORY}:{content(root)}"
    if not _exists(image):
        _build(image, root)
    return image


def content(root: Path) -> str:
    """Of all that goes into the image, as 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in _sources(root):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:12]


def _sources(root: Path) -> Iterator[Path]:
    """Dockerfile, and what .dockerignore lets through: a list of names that begin with `!`."""
    ignore = root / ".dockerignore"
    yield from (root / "Dockerfile", ignore)
    names = [line[1:].strip() for line in ignore.read_text().splitlines() if line.startswith("!")]
    for name in sorted(names):
        path = root / name
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (each for each in inside if each.is_file() and "__pycache__" not in each.parts)


def _exists(image: str) -> bool:
    try:
        return bool(docker("image", "inspect", "--format", "{{.Id}}", image))
    except ContainersUnavailable:
        return False


def _build(image: str, root: Path) -> None:
    """Through Compose, whose builder `docker compose up` uses too, so that both share their layers."""
    earlier = docker("images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY).split()
    file = str(root / "docker-compose.yml")
    try:
        docker(
            *("compose", "-f", file, "build", "--quiet", "aggregator"),
            seconds=BUILD_SECONDS,
            environment={"IMAGE": image},
        )
    except ContainersUnavailable as error:
        raise ContainersUnavailable(
            f"the image cannot be built ({error}): mend that, or name one with NONN_IMAGE=NAME"
        ) from None
    for old in earlier:
        _remove_unless_used(old)


def _remove_unless_used(image: str) -> None:
    try:
        docker("rmi", image)
    except ContainersUnavailable:  # a cluster runs it
        return

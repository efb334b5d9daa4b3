"""What can go wrong, each as one line that says what is wrong and what to do."""

from typing import ClassVar


class PartitionError(ValueError):
    """The activations, the graph or the wanted parts make no partition possible."""

    exit_code: ClassVar[int] = 7


class PartitionFileError(PartitionError):
    """A file of this package cannot be written, read or understood."""

    exit_code: ClassVar[int] = 8

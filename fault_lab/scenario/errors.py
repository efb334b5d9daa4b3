"""What is wrong with a scenario."""

from typing import ClassVar

from bundle.errors import NonnError


class ScenarioError(NonnError):
    """A scenario that cannot be run as it stands. fault: index of the one at fault, if it is one."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, fault: int | None = None) -> None:
        super().__init__(message)
        self.fault = fault

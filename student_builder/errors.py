"""What can be wrong with the inputs of a build. Each message is one line: what is wrong and what to do."""

from typing import ClassVar

from bundle.errors import NonnError


class ExperimentError(NonnError):
    """The experiment file cannot be used as it is."""

    exit_code: ClassVar[int] = 3


class DataError(NonnError):
    """The images or labels cannot be used."""

    exit_code: ClassVar[int] = 4


class TeacherError(NonnError):
    """The teacher's module, weights or structure cannot be used."""

    exit_code: ClassVar[int] = 5


class AccuracyError(NonnError):
    """No int8 twin keeps enough of its student's accuracy."""

    exit_code: ClassVar[int] = 19

"""The root of the project's exceptions, and those of this package.

`str(error)` is the one line a user sees; `exit_code` is what the command line ends with.
"""

from typing import ClassVar


class NonnError(Exception):
    """Something the user can understand and act on."""

    exit_code: ClassVar[int] = 1


class InputError(NonnError):
    """Images that the network cannot take."""

    exit_code = 4


class BundleError(NonnError):
    """A bundle that is damaged, incomplete, tampered with, of a newer version, or no bundle at all."""

    exit_code = 6


class StorageError(NonnError):
    """A file or folder that cannot be read or written."""

    exit_code = 8

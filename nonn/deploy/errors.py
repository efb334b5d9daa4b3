"""What can go wrong with a deployment as a whole, and with one host of it."""

from typing import ClassVar

from bundle.errors import NonnError


class InventoryError(NonnError):
    """The inventory is missing, is no TOML, or has a key or value that is not allowed."""

    exit_code: ClassVar[int] = 3


class DeployFailed(NonnError):
    """Some hosts are not as the inventory wants them; what was said of each tells why. The others are."""

    exit_code: ClassVar[int] = 17


class HostFailed(Exception):
    """One host cannot be deployed to; the text is one line, with a way out."""


class HostBusy(HostFailed):
    """Somebody else deploys to it, and this step was not begun."""


class HostUnreachable(HostFailed):
    """Nothing could be asked of it, or the connection ended."""

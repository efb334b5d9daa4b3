"""NoNN: one neural network run by many small devices that may fail at any time.

>>> from nonn import Client
>>> with Client("127.0.0.1:7560") as client:  # doctest: +SKIP
...     answer = client.predict(images, deadline=0.5)

Names are imported when first used, so that `nonn --help` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nonn import errors
    from nonn.client import Answer, AsyncClient, Client

    __version__: str

__all__ = ["Answer", "AsyncClient", "Client", "__version__", "errors"]


def __getattr__(name: str) -> Any:
    if name in {"Answer", "AsyncClient", "Client"}:
        return getattr(import_module("nonn.client"), name)
    if name == "errors":
        return import_module("nonn.errors")
    if name == "__version__":
        return import_module("importlib.metadata").version("nonn")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

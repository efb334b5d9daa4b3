"""The policies of a request, between how people write them and the protocol."""

import re
from typing import Any, Final, Literal

from protos import nonn_pb2

Kind = Literal["all", "covered", "quorum"]
_NUMBERS: Final[dict[Kind, nonn_pb2.Policy]] = {
    "all": nonn_pb2.ALL,
    "covered": nonn_pb2.COVERED,
    "quorum": nonn_pb2.QUORUM,
}
KINDS: Final[dict[int, Kind]] = {number: kind for kind, number in _NUMBERS.items()}
_FORM: Final = re.compile(r"(all|covered)|quorum=(0*[1-9][0-9]{0,8})", re.ASCII)


def parse(text: str) -> tuple[Kind, int]:
    """`all`, `covered` or `quorum=N`: its kind, and N or 0. ValueError for anything else."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"the policy must be all, covered or quorum=N with N from 1 on, not {text!r}")
    if found[2]:
        return "quorum", int(found[2])
    return ("all" if text == "all" else "covered"), 0


def fields(kind: Kind, quorum: int) -> dict[str, Any]:
    """Of a PredictRequest."""
    return {"policy": _NUMBERS[kind], "quorum": quorum}

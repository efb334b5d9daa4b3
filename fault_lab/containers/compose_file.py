"""A cluster of boards as a compose file that people read, change and run."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fault_lab.containers import services
from fault_lab.containers.boards import BOARDS, Group
from fault_lab.containers.document import Value, block, comment, literal
from fault_lab.control_file import to_document
from fault_lab.proxy import LINKS, LinkState

CONTROL: Final = "/tmp/links.json"


@dataclass(frozen=True, slots=True)
class BoardCluster:
    """link: a name in LINKS; none: as fast as this machine can. port: of the aggregator, on this machine's
    loopback. bundle, context: folders, relative to the compose file unless absolute; without a bundle the
    digits sample, or what BUNDLE names when the cluster starts.
    """

    groups: Sequence[Group]
    link: str | None = None
    bundle: str | None = None
    context: str = "."
    port: int = services.PORT

    def text(self) -> str:
        """The compose file."""
        boards = [group.board for group in self.groups]
        dials = services.link_addresses(boards) if self.link else {}
        parts = [
            _head(self),
            block({"name": "nonn-boards"}),
            services.confinement("nonn", "on-failure"),
            "services:\n" + _aggregator(self),
            *([_links(boards, self.link)] if self.link else []),
            *(_group(group, dials.get(group.board, services.AGGREGATOR_ADDRESS)) for group in self.groups),
        ]
        return "\n".join(parts)


def _head(cluster: BoardCluster) -> str:
    devices = sum(group.count for group in cluster.groups)
    first = cluster.groups[0]
    usage = {
        "docker compose -f compose.yml up": "serve; the first time it builds the image",
        f"docker compose -f compose.yml up --scale {first.board}={first.count + 2}": "with more devices",
        f"nonn status --aggregator 127.0.0.1:{cluster.port}": "who serves what",
    }
    return comment(
        f"A cluster of {devices} devices, written by `nonn cluster compose`. With this file as compose.yml:",
        *(f"  {command:<52} {what}" for command, what in usage.items()),
        "",
        "cpus is the board's share of one x86 core, mem_limit what its system leaves free. Both are",
        "estimates: docs/how-to/containers.md says where they are from, and what they do not imitate.",
    )


def _aggregator(cluster: BoardCluster) -> str:
    bundle = "${BUNDLE:-samples/digits}" if cluster.bundle is None else literal(cluster.bundle)
    entries: dict[str, Value] = {
        **services.CONFINED,
        "build": literal(cluster.context),
        **services.aggregator(bundle, f"127.0.0.1:{cluster.port}"),
    }
    why = "It may take what this machine has, as a server would."
    return comment(why, indent=2) + block({"aggregator": entries}, 2)


def _links(boards: Sequence[str], name: str) -> str:
    """The control file is written by the container itself, so that the compose file is all there is."""
    state = json.dumps(to_document(LinkState(LINKS[name].toxics, LINKS[name].toxics)))
    ways = [f"{json.dumps(board)}: {state}" for board in boards]
    written = "{" + ",\n ".join(ways) + "}"
    listen = " \\\n  --listen ".join(shlex.join(services.link_command(boards, CONTROL)).split(" --listen "))
    script = f"cat > {CONTROL} <<END\n{written}\nEND\nexec {listen}\n"
    entries: dict[str, Value] = {
        **services.CONFINED,
        "pull_policy": "never",
        "depends_on": ["aggregator"],
        "entrypoint": ["sh", "-c"],
        "command": [script],
    }
    why = [
        f"How devices reach the aggregator, {name}: {LINKS[name].why}.",
        f"It changes while it runs when {CONTROL} is replaced. Seconds, and bytes a second.",
    ]
    return comment(*why, indent=2) + block({"links": entries}, 2)


def _group(group: Group, dial: str) -> str:
    board = BOARDS[group.board]
    entries: dict[str, Value] = {
        **services.device(dial),
        "deploy": {"replicas": group.count},
        "cpus": board.share,
        "mem_limit": f"{board.free_mb}m",
    }
    why = [
        f"{board.title}: {board.why.partition(';')[0]}.",
        f"One of its {board.cores} cores computes, as much as {board.share:g} of an x86 core.",
    ]
    return comment(*why, indent=2) + block({group.board: entries}, 2)

"""Scripts run on a host by the system's OpenSSH client, within their time, and what their failures mean."""

import asyncio
import contextlib
import re
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from nonn.deploy.errors import HostBusy, HostFailed, HostUnreachable
from nonn.deploy.inventory import Host

CONNECT_SECONDS: Final = 10
_SSH_FAILED: Final = 255
_BUSY: Final = 75  # common.sh: somebody else holds the lock
# The user's own shell may be any; it only has to understand these.
_AS_WE_ARE: Final = "exec sh -c "
_AS_ROOT: Final = """exec sh -c '[ "$(id -u)" = 0 ] || exec sudo -n sh -c "$1"; exec sh -c "$1"' nonn """
_PROBLEM: Final = "nonn-problem: "
_MOST_SAID: Final = 300  # characters of a complaint


async def run(
    host: Host,
    name: str,
    values: Mapping[str, str],
    *,
    root: bool,
    seconds: float,
    payload: Path | None = None,
) -> str:
    """What the script nonn/deploy/scripts/NAME.sh prints, with `values` as its variables.

    root: run it as root. payload: a file for its standard input. Raises HostFailed.
    """
    start = _AS_ROOT if root and host.sudo else _AS_WE_ARE
    command = [*_ssh(host), start + shlex.quote(compose(name, values))]
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(payload.open("rb")) if payload else asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=source,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError:
            raise HostFailed("there is no ssh on this machine: install OpenSSH's client") from None
        try:
            async with asyncio.timeout(seconds):
                out, err = await process.communicate()
        except TimeoutError:
            raise HostFailed(f"{name} was not done within {seconds:g} s: see how busy the host is") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode:
        raise explain(host, process.returncode, err.decode(errors="replace"))
    return out.decode(errors="replace")


def compose(name: str, values: Mapping[str, str]) -> str:
    """The script's text after its variables and what all scripts share."""
    head = "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
    return head + _text("common") + _text(name)


def _text(name: str) -> str:
    return resources.files("nonn.deploy").joinpath("scripts", f"{name}.sh").read_text()


def _ssh(host: Host) -> list[str]:
    # Nobody is there to answer questions; a host that falls silent is noticed within a quarter of a minute.
    options = ["BatchMode=yes", f"ConnectTimeout={CONNECT_SECONDS}", "ServerAliveInterval=5"]
    if host.identity is not None:
        options.append("IdentitiesOnly=yes")
    command = ["ssh", "-T", *(part for option in options for part in ("-o", option))]
    if host.ssh_config is not None:
        command += ["-F", str(host.ssh_config)]
    if host.identity is not None:
        command += ["-i", str(host.identity)]
    if host.port is not None:
        command += ["-p", str(host.port)]
    return [*command, "--", host.login]


def explain(host: Host, code: int, said: str) -> HostFailed:
    """What a script's exit code and standard error mean."""
    for line in said.splitlines():
        if line.startswith(_PROBLEM):
            kind = HostBusy if code == _BUSY else HostFailed
            return kind(line.removeprefix(_PROBLEM)[:_MOST_SAID])
    if code == _SSH_FAILED:
        return _connection(host, said)
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [f"exit code {code}"]
    return HostFailed(f"a step failed on the host: {lines[-1][:_MOST_SAID]}")


def _connection(host: Host, said: str) -> HostUnreachable:
    where = f"[{host.address}]:{host.port}" if host.port not in (None, 22) else host.address
    by_hand = " ".join(["ssh", *(["-p", str(host.port)] if host.port else []), host.login])
    meanings = {
        "REMOTE HOST IDENTIFICATION HAS CHANGED": (
            "its host key is not the one that is known: if the board was set up anew, "
            f"`ssh-keygen -R '{where}'` forgets the old one; if not, somebody else may answer in its place"
        ),
        "Host key verification failed": (
            f"its host key is not known yet: `{by_hand}` shows it once, to be compared and accepted"
        ),
        "Permission denied": (
            f"it does not let {host.user or 'you'} in: try `{by_hand}`; the inventory's user and identity, "
            "and `ssh-copy-id`, are what this depends on"
        ),
        "Could not resolve hostname": f"there is no host called {host.address}: see the inventory's address",
        "Bad owner or permissions": "ssh does not accept the permissions of its configuration file",
    }
    for words, meaning in meanings.items():
        if words in said:
            return HostUnreachable(meaning)
    reason = _reason(said)
    return HostUnreachable(
        f"unreachable ({reason}): see whether it is on, and on this network, and runs an ssh server"
    )


def _reason(said: str) -> str:
    """Of OpenSSH's last words, what comes after the host and port."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["the connection ended"]
    reason = re.sub(r"^(ssh: connect to host \S+ port \d+: |ssh: )", "", lines[-1])
    return reason[:_MOST_SAID].rstrip(".").lower()

"""One host from what it is to what it should be, and all hosts side by side."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from nonn.deploy import certificates, ready, steps, unit
from nonn.deploy.errors import HostBusy, HostFailed
from nonn.deploy.facts import Facts
from nonn.deploy.inventory import Host, Inventory
from nonn.deploy.outcome import Outcome, Result
from nonn.deploy.plan import Action, Do, Wanted, no_root, obstacle, plan, removal, skew
from nonn.deploy.wheel import Wheel
from nonn.errors import NonnError


@dataclass(frozen=True, slots=True)
class Options:
    """check: change nothing. wait: seconds until a device has to be ready; None: do not wait.

    parallel: hosts at a time. say: told of what is going on, the host's name first.
    """

    check: bool
    remove: bool
    wait: float | None
    parallel: int
    say: Callable[[str, str], None]


async def roll_out(
    inventory: Inventory, hosts: Sequence[Host], wheel: Wheel | None, options: Options
) -> list[Outcome]:
    """In the order of `hosts`. One that fails stops no other. wheel: None when things are removed."""
    places = asyncio.Semaphore(options.parallel)
    rollout = _Rollout(inventory, wheel, options)

    async def one(host: Host) -> Outcome:
        async with places:
            started = time.monotonic()
            try:
                outcome = await (rollout.remove(host) if options.remove else rollout.deploy(host))
            except (HostFailed, NonnError, OSError) as error:
                outcome = Outcome(host.name, Result.FAILED, problem=" ".join(str(error).split()))
            return replace(outcome, seconds=round(time.monotonic() - started, 1))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(host)) for host in hosts]
    return [task.result() for task in tasks]


class _Rollout:
    def __init__(self, inventory: Inventory, wheel: Wheel | None, options: Options) -> None:
        self._inventory = inventory
        self._wheel = wheel
        self._options = options

    async def remove(self, host: Host) -> Outcome:
        found = await steps.preflight(host)
        actions = removal(host, found)
        if not found.root:
            raise HostFailed(no_root(host))
        if not actions or self._options.check:
            return Outcome(host.name, Result.PLANNED if actions else Result.UNCHANGED, actions)
        self._options.say(host.name, actions[0].why)
        await steps.remove(host)
        return Outcome(host.name, Result.REMOVED, actions)

    async def deploy(self, host: Host) -> Outcome:
        found = await steps.preflight(host)
        wanted = await asyncio.to_thread(self._wanted, host, found)
        now = datetime.now(UTC)
        problem = obstacle(host, wanted, found, now)
        if problem:
            raise HostFailed(problem)
        actions = plan(host, wanted, found)
        outcome = Outcome(host.name, Result.PLANNED, actions, wanted.version, remark=skew(found, now))
        if self._options.check:
            return outcome if actions else replace(outcome, result=Result.UNCHANGED)
        if not actions:
            seen = await self._wait(host, 0.0)
            return replace(outcome, result=Result.UNCHANGED, device=seen)
        return await self._apply(host, wanted, found, outcome)

    def _wanted(self, host: Host, found: Facts) -> Wanted:
        assert self._wheel is not None
        certs = self._inventory.certificates
        return Wanted(
            self._wheel.version,
            self._wheel.environment(host, found.python, found.machine),
            unit.render(self._inventory, host),
            None if certs is None else certificates.look(certs, host.name, datetime.now(UTC)),
        )

    async def _apply(self, host: Host, wanted: Wanted, found: Facts, outcome: Outcome) -> Outcome:
        does = {action.do for action in outcome.actions}
        wanted = await self._issue(host, wanted, outcome.actions)
        if self._options.wait is not None:
            try:
                await ready.check_aggregator(self._inventory, host)
            except NonnError as error:
                raise HostFailed(f"{error}; nothing was changed, and --no-wait deploys without it") from None
        assert self._wheel is not None
        if does & {Do.ACCOUNT, Do.INSTALL}:
            self._tell(host, outcome.actions, Do.ACCOUNT, Do.INSTALL)
            await steps.install(host, wanted, self._wheel, found.machine)
        if does == {Do.TIDY}:
            await steps.settle(host, "")
            return replace(outcome, result=Result.CHANGED, device=await self._wait(host, 0.0))
        self._tell(host, outcome.actions, Do.CERTIFICATES, Do.UNIT, Do.ENABLE, Do.START)
        try:
            await steps.activate(host, wanted)
            seen = await self._wait(host, time.monotonic())
        except HostBusy:
            raise
        except HostFailed as error:
            return await self._go_back(host, wanted, found, outcome, str(error))
        except NonnError as error:
            raise HostFailed(f"{error}; the new version was started: deploy again to see it ready") from None
        await steps.settle(host, wanted.release)
        return replace(outcome, result=Result.CHANGED, device=seen)

    async def _issue(self, host: Host, wanted: Wanted, actions: Sequence[Action]) -> Wanted:
        if not any(action.do is Do.ISSUE for action in actions):
            return wanted
        assert self._inventory.certificates is not None
        self._tell(host, actions, Do.ISSUE)
        now = datetime.now(UTC).replace(microsecond=0)
        issued = await asyncio.to_thread(certificates.issue, self._inventory.certificates, host.name, now)
        return replace(wanted, certificates=issued)

    async def _wait(self, host: Host, since: float) -> str:
        """The device's state; empty when nobody is to wait for it."""
        if self._options.wait is None:
            return ""
        self._options.say(host.name, "wait until the aggregator sees it ready")
        return (await ready.wait_ready(self._inventory, host, since, self._options.wait)).state

    async def _go_back(self, host: Host, wanted: Wanted, found: Facts, outcome: Outcome, why: str) -> Outcome:
        """The host runs what last proved itself, else what it ran before, or nothing when it ran nothing."""
        self._options.say(host.name, f"not ready ({why}): going back")
        try:
            said = await steps.diagnose(host)
            why = f"{why}; it says: {said}"
        except HostFailed:
            pass
        try:
            left = await steps.go_back(host, wanted.release, found.started or found.current)
        except HostFailed as error:
            problem = f"{why}; and it could not be taken back ({error}): deploy again"
            return replace(outcome, result=Result.FAILED, problem=problem)
        if not left.switched:
            problem = f"{why}; it was left as it is, running {left.venv or 'nothing'}"
            return replace(outcome, result=Result.FAILED, problem=problem)
        after = await self._state_after(host, left.venv)
        return replace(outcome, result=Result.ROLLED_BACK, problem=f"{why}; {after}")

    async def _state_after(self, host: Host, venv: str) -> str:
        if not venv:
            return "it was stopped and runs nothing, as before"
        former = f"it is back to {venv}"
        try:
            return f"{former}, which is {await self._wait(host, time.monotonic()) or 'started'}"
        except (NonnError, HostFailed) as error:
            return f"{former}, and not ready either ({error})"

    def _tell(self, host: Host, actions: Sequence[Action], *kinds: Do) -> None:
        for action in actions:
            if action.do in kinds:
                self._options.say(host.name, action.why)

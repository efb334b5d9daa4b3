"""A plan in plain words, and as the lines of an experiment file."""

from collections.abc import Iterator, Sequence

from bundle import MAX_STUDENTS
from nonn.planning.devices import Device
from nonn.planning.proposal import WIDTHS, Impossible, LeftOut, Proposal, Task

_MB = 1e6


def explain(devices: Sequence[Device], outcome: Proposal | Impossible) -> Iterator[str]:
    """Line by line."""
    task = outcome.task
    yield "1. The devices, and what they can do"
    for device in sorted(devices, key=lambda one: -one.speed):
        yield f"   {_device(device)}"
    yield f"2. The task: {task.filters} filters, {task.classes} classes, {_image(task)} images"
    yield f"   A device has {task.budget:g} ms for one image, on one thread."
    yield "   The network between the devices is not in that: `--network` takes its round trip off."
    yield from map(_left_out, outcome.left_out)
    if isinstance(outcome, Impossible):
        yield from _impossible(outcome)
        return
    yield from _parts(outcome)
    yield from _widths(outcome)
    yield from _places(outcome)


def snippet(proposal: Proposal) -> str:
    """To be pasted into an experiment file, in place of the same keys."""
    names = [part.network.name for part in proposal.parts]
    alike = len(set(names)) == 1
    architecture = f'"{names[0]}"' if alike else "[" + ", ".join(f'"{name}"' for name in names) + "]"
    sizes = ", ".join(str(part.filters) for part in proposal.parts)
    return (
        f"[partition]\nsizes = [{sizes}]\n\n"
        f"[students]\ncount = {proposal.students}\narchitecture = {architecture}\n"
    )


def _device(device: Device) -> str:
    speed = f"{device.speed / 1e6:.3g} billion multiply-adds a second"
    return f"{device.name}: {speed}, {device.memory_bytes / _MB:.0f} MB for students ({device.source})"


def _image(task: Task) -> str:
    return f"{task.image.height}x{task.image.width}x{task.image.channels}"


def _left_out(one: LeftOut) -> str:
    wants = []
    if one.needed_budget:
        wants.append(f"{one.needed_budget:.3g} ms")
    if one.needed_memory:
        wants.append(f"{one.needed_memory / _MB:.0f} MB")
    return (
        f"   {one.device.name} is left out: even the narrowest student (width {WIDTHS[0]}) "
        f"takes {' and '.join(wants)} there."
    )


def _impossible(outcome: Impossible) -> Iterator[str]:
    needed, devices = outcome.task.replicas, outcome.able + len(outcome.left_out)
    yield "3. There is no plan."
    if devices < needed:
        yield f"   A part needs {needed} devices, one for each of its students, and there are {devices}."
        yield "   What would help: more devices, or fewer --replicas."
        return
    if outcome.able < needed:
        yield f"   {outcome.able} devices can take a student, and a part needs {needed}."
    else:
        yield f"   {outcome.able} devices can take some student, but not all {outcome.task.filters} filters."
    if outcome.enough is not None:
        yield f"   What would help: {outcome.enough:.3g} ms for one image,"
    else:
        yield "   What would help: devices with more memory,"
    yield "   or more or faster devices, fewer --replicas, or a smaller --depth."


def _parts(proposal: Proposal) -> Iterator[str]:
    task, count = proposal.task, len(proposal.parts)
    yield f"3. Parts: {count}"
    yield (
        f"   One student a device, {task.replicas} to a part: who loses one device loses one student. "
        f"A bundle has {MAX_STUDENTS} students at the most."
    )
    if proposal.spare:
        names = ", ".join(device.name for device in proposal.spare)
        yield f"   Spare: {names}. Start them after the others: the aggregator makes replicas of them."


def _widths(proposal: Proposal) -> Iterator[str]:
    task = proposal.task
    yield "4. Students: each as wide as the device that it is meant for computes in time; parts in proportion"
    for number, part in enumerate(proposal.parts):
        share = part.filters / task.filters
        yield (
            f"   part {number}: {part.network.name}, {part.filters} filters ({share:.0%}), "
            f"{part.cost.multiply_adds / 1e6:.3g} million multiply-adds, about "
            f"{part.memory_bytes / _MB:.0f} MB loaded"
        )


def _places(proposal: Proposal) -> Iterator[str]:
    yield "5. Places, as the aggregator will choose them once all have joined"
    for device, held in proposal.placement.items():
        students = ", ".join(f"{s} (part {s % len(proposal.parts)})" for s in held)
        yield (
            f"   {device.name}: student {students}, {proposal.milliseconds(device):.3g} ms, "
            f"{proposal.memory(device) / _MB:.0f} of {device.memory_bytes / _MB:.0f} MB"
        )
    slowest = max(proposal.placement, key=proposal.milliseconds)
    yield (
        f"   The slowest is {slowest.name}: {proposal.milliseconds(slowest):.3g} "
        f"of {proposal.task.budget:g} ms."
    )
    sources = {device.source for device in proposal.placement}
    if "estimate" in sources:
        yield "   Boards named by type are estimates from published times of another network and runtime:"
        yield "   measure with `nonn benchmark-device` before you rely on them."
    yield "   A plan does not know accuracy: build it, and `nonn evaluate` tells."

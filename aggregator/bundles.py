"""The bundle that is served, the one that may take its place, and those whose last works are still out.

Make before break: devices load a new bundle's students beside those that they serve, and drop the old ones
only when the new ones have taken over and nothing is in flight for the old.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from aggregator.alarm import Alarm
from aggregator.devices import Device
from aggregator.effects import Effect, Note, Prepare, Reloaded, ReloadFailed
from aggregator.hosting import Hosting
from aggregator.model import Model
from aggregator.reload import Reloading
from aggregator.settings import Settings


class Bundles:
    """`devices` is the membership's view, by link. Emits what devices are to hold."""

    def __init__(
        self,
        model: Model,
        settings: Settings,
        devices: Mapping[int, Device],
        emit: Callable[[Effect], None],
        alarm: Alarm,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._emit = emit
        self._alarm = alarm
        self._changed: dict[int, Device] = {}  # those that are to hold other students than they were told
        self._retired: list[Hosting] = []
        self._reloading: Reloading | None = None
        self._outdated = False
        self._reported = (model.bundle_id, frozenset[int]())
        self.served = self._hosting(model)

    @property
    def staged_id(self) -> str:
        """Of the bundle that is being loaded, or empty."""
        return self._reloading.staged.model.bundle_id if self._reloading else ""

    @property
    def ids(self) -> frozenset[str]:
        """Of all bundles of which devices may hold students."""
        return frozenset(hosting.model.bundle_id for hosting in (*self._active(), *self._retired))

    def find(self, bundle_id: str) -> Hosting | None:
        """The served or the staged one."""
        return next((hosting for hosting in self._active() if hosting.model.bundle_id == bundle_id), None)

    # ---- devices

    def join(self, now: float, device: Device) -> None:
        self._changed[device.link] = device  # even if it gets nothing: it may hold what it had before
        for hosting in self._active():
            hosting.join(now, device)
        least = min(student.memory_bytes for student in self.served.model.students)
        if 0 < device.facts.memory_bytes < least:
            offered = device.facts.memory_bytes / 1e6
            problem = f"a student needs {least / 1e6:.3g} MB or more, and it offers {offered:.3g} MB"
            self._emit(Note(f"{device.name} has no room for any student: {problem}", warning=True))

    def lose(self, now: float, device: Device) -> None:
        for hosting in self._active():
            hosting.lose(now, device, was_living=device.living)
        for hosting in self._retired:
            hosting.places.pop(device.link, None)
        self._forget_retired()
        self._changed.pop(device.link, None)
        self._outdated = True

    def fall_silent(self, now: float, devices: Collection[Device]) -> None:
        """These live no longer, though they are still connected."""
        for hosting in self._active():
            hosting.fall_silent(now, devices)
        self._absolve(now)
        self._outdated = True

    def ready(self, now: float, device: Device, hosting: Hosting, student: int, *, int8: bool) -> None:
        if hosting.ready(now, device, student, int8=int8):
            what = "serves" if hosting is self.served else "has loaded the new bundle's"
            self._emit(Note(f"{device.name} {what} student {student}{' in int8' if int8 else ''}"))
            self._outdated = True

    def fail(self, now: float, device: Device, hosting: Hosting, student: int, reason: str) -> None:
        device.error = reason
        self._emit(Note(f"{device.name} cannot serve student {student}: {reason}", warning=True))
        if self._reloading and hosting is self._reloading.staged:
            self._reloading.failures[device.name] = reason
        hosting.fail(now, device, student)
        self._absolve(now)
        self._outdated = True

    def rebalance(self, now: float) -> None:
        for hosting in self._active():
            hosting.rebalance(now)
        self._outdated = True

    def relieve(self, now: float, device: Device) -> None:
        """Nothing, or nothing of an old bundle, may be in flight to the device any longer."""
        if not device.in_flight:
            for hosting in self._active():
                if hosting.places[device.link].shedding:
                    hosting.rebalance(now)
        self._drop(now, device)

    def wake(self, now: float) -> None:
        for hosting in self._active():
            if hosting.has_due(now):
                hosting.rebalance(now)
        for device in self._devices.values():
            self._drop(now, device)
        if self._reloading:
            self._alarm.at(self._reloading.until)

    # ---- bundles

    def load(self, now: float, model: Model) -> None:
        """Have the devices load the bundle beside the one that they serve."""
        if self._reloading:
            self._emit(ReloadFailed(model.bundle_id, "another bundle is being loaded: try again when it is"))
        elif model.bundle_id == self.served.model.bundle_id:
            self._emit(ReloadFailed(model.bundle_id, "this bundle is served already"))
        elif any(hosting.model.bundle_id == model.bundle_id for hosting in self._retired):
            problem = "works of this bundle, from when it was served, are still out: try again in a moment"
            self._emit(ReloadFailed(model.bundle_id, problem))
        else:
            staged = self._hosting(model)
            self._reloading = Reloading(staged, now + self._settings.reload, {})
            self._alarm.at(self._reloading.until)
            self._emit(Note(f"loading bundle {model.bundle_id[:12]} beside the one that is served"))
            staged.begin(now, self._devices.values())

    def excuse(self, seconds: float) -> None:
        """For so long nobody was listening."""
        for hosting in self._active():
            hosting.excuse(seconds)
        if self._reloading:
            self._reloading = replace(self._reloading, until=self._reloading.until + seconds)

    def advance(self, now: float) -> bool:
        """Carry out what has come to an end. Returns whether another bundle is served now."""
        switched = self._reloading is not None and self._reloading.settled(now)
        if switched and self._reloading:
            switched = self._conclude(now, self._reloading)
        for device in self._changed.values():
            self._emit(device.assign(self._held(device)))
        self._changed.clear()
        if self._outdated:
            self._outdated = False
            self._report()
        return switched

    def _conclude(self, now: float, reloading: Reloading) -> bool:
        staged, old = reloading.staged, self.served
        name = f"bundle {staged.model.bundle_id[:12]}"
        objection = reloading.objection(old)
        self._reloading = None
        self._changed.update(self._devices)
        if objection:
            self._emit(Note(f"{name} is given up: {objection}", warning=True))
            self._emit(ReloadFailed(staged.model.bundle_id, objection))
            return False
        self.served = staged
        self._outdated = True
        self._retired.append(old)
        for place in old.places.values():
            place.assigned &= place.ready  # nobody needs to load the others any more
        for device in self._devices.values():
            self._drop(now, device)
        self._forget_retired()
        devices = len(staged.serving())
        self._emit(Note(f"{name} is served now, by {devices} devices"))
        self._emit(Reloaded(staged.model.bundle_id, old.model.bundle_id, devices))
        self._absolve(now)
        return True

    def _absolve(self, now: float) -> None:
        """A stalled device without a student is late with nothing, and could never show that it is well."""
        idle = [place.device for place in self.served.places.values() if not place.assigned]
        stalled = [device for device in idle if device.stalled]
        for device in stalled:
            device.begin_anew(now)
        if stalled:
            self.rebalance(now)

    def _drop(self, now: float, device: Device) -> None:
        """Have the device forget its students of old bundles, unless something is in flight for them."""
        if not self._retired:
            return
        busy = [flight.place for flight in device.in_flight.values()]
        for retired in self._retired:
            place = retired.places.get(device.link)
            if place is not None and place not in busy:
                del retired.places[device.link]
                self._changed[device.link] = device
                self.rebalance(now)  # there is room now for what did not fit beside them
        self._forget_retired()

    def _forget_retired(self) -> None:
        self._retired = [hosting for hosting in self._retired if hosting.places]

    def _report(self) -> None:
        """Say whether all students are served, and have the merges of those that are prepared."""
        model, served = self.served.model, self.served.served()
        if (model.bundle_id, served) == self._reported:
            return
        everyone = len(model.students)
        before = len(self._reported[1])
        self._reported = (model.bundle_id, served)
        if len(served) == everyone > before:
            self._emit(Note(f"ready: {everyone} of {everyone} students are served"))
        elif len(served) < before:
            self._emit(Note(f"degraded: {len(served)} of {everyone} students are served", warning=True))
        if served and model.merger.fill == "ridge":
            self._emit(Prepare(model.bundle_id, tuple(sorted(served))))

    def _hosting(self, model: Model) -> Hosting:
        hosting = Hosting(
            model,
            self._settings,
            self._alarm,
            changed=lambda device: self._changed.update({device.link: device}),
            taken=lambda device: sum(
                other.memory(device) for other in (*self._active(), *self._retired) if other is not hosting
            ),
        )
        return hosting

    def _held(self, device: Device) -> tuple[tuple[str, int], ...]:
        return tuple(
            (hosting.model.bundle_id, student)
            for hosting in (*self._active(), *self._retired)
            if device.link in hosting.places
            for student in sorted(hosting.places[device.link].assigned)
        )

    def _active(self) -> tuple[Hosting, ...]:
        return (self.served, self._reloading.staged) if self._reloading else (self.served,)

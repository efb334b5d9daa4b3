"""Who is in the cluster, and who still answers."""

from collections.abc import Callable

from aggregator.alarm import Alarm
from aggregator.devices import Device
from aggregator.effects import Effect, Note, Ping, Welcome
from aggregator.events import DeviceFacts
from aggregator.settings import Settings

# A stalled device is tried again after so many pings, with a copy of a work that others do.
PROBE_PINGS = 3
# So many late works in a row, and a device is stalled.
MOST_LATE = 2


class Membership:
    """`devices` by link, in the order in which they joined."""

    def __init__(self, settings: Settings, emit: Callable[[Effect], None], alarm: Alarm) -> None:
        self._settings = settings
        self._emit = emit
        self._alarm = alarm
        self.devices: dict[int, Device] = {}

    def by_id(self, device_id: str) -> Device | None:
        return next((device for device in self.devices.values() if device.facts.device_id == device_id), None)

    def join(self, now: float, link: int, facts: DeviceFacts) -> Device:
        device = Device(
            link,
            facts,
            last_seen=now,
            next_ping=now + self._settings.ping,
            speed=facts.speed,
            measured=dict(facts.measured),
        )
        self.devices[link] = device
        self._alarm.at(device.next_ping)
        self._emit(Welcome(link))
        self._emit(Note(f"{device.name} joined ({facts.architecture or 'unknown'}, {facts.cores} cores)"))
        return device

    def forget(self, device: Device, reason: str) -> None:
        del self.devices[device.link]
        how = "left" if device.leaving else "lost"
        self._emit(Note(f"{device.name} {how}: {reason}", warning=not device.leaving))

    def leave(self, device: Device, reason: str) -> None:
        device.leaving = True
        self._emit(Note(f"{device.name} is leaving: {reason or 'no reason given'}"))

    def heard(self, now: float, device: Device) -> bool:
        """Any message counts as life. Returns whether the device was suspect until now."""
        device.last_seen = now
        device.heard = True
        device.excused = False
        device.misses = 0
        if not device.suspect:
            return False
        # Whatever it was late with, it was because of the silence.
        device.suspect = False
        device.begin_anew(now)
        self._emit(Note(f"{device.name} is back"))
        return True

    def late(self, now: float, device: Device, works: int = 1) -> bool:
        """The device has let its usual time pass. Returns whether it is stalled because of that."""
        device.late += works
        if not device.living or device.late < MOST_LATE:
            return False
        device.stalled = True
        device.next_probe = now + PROBE_PINGS * self._settings.ping
        self._emit(Note(f"{device.name} is stalled: it answers pings and not its works", warning=True))
        return True

    def recovered(self, now: float, device: Device) -> None:
        """A stalled device has answered a work."""
        device.begin_anew(now)
        self._emit(Note(f"{device.name} answers its works again"))

    def probe(self, now: float, device: Device) -> bool:
        """Whether to try the device, which has room, with this work: nobody will wait for it."""
        due = device.stalled and not (device.suspect or device.leaving) and now >= device.next_probe
        if due:
            device.next_probe = now + PROBE_PINGS * self._settings.ping
        return due

    def check_life(self, now: float) -> list[Device]:
        """Ping whoever is due; returns the devices that have just become suspect."""
        suspects = []
        for device in self.devices.values():
            if now >= device.next_ping:
                self._ping(now, device)
            self._alarm.at(device.next_ping)
            if device.misses >= self._settings.misses and not device.suspect:
                device.suspect = True
                suspects.append(device)
                silence = f"silent for {now - device.last_seen:.1f} s"
                self._emit(Note(f"{device.name} is suspect: {silence}", warning=True))
        return suspects

    def excuse(self, seconds: float) -> list[Device]:
        """For so long nobody was listening. Returns the devices that have that much more time.

        Once, until they are heard: one that is dead stays silent between pauses too.
        """
        excused = [device for device in self.devices.values() if not device.excused]
        for device in excused:
            device.excused = True
            device.last_seen += seconds
            device.next_ping += seconds
            device.next_probe += seconds
            device.back += seconds
        return excused

    def _ping(self, now: float, device: Device) -> None:
        device.misses = 0 if device.heard else device.misses + 1
        device.heard = False
        device.pings += 1
        device.next_ping = now + self._settings.ping
        self._emit(Ping(device.link, device.pings))

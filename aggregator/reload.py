"""Whether a bundle that devices load beside the one that they serve may take over."""

from dataclasses import dataclass

from aggregator.hosting import Hosting

# A reason travels to the operator in metadata of bounded size.
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Reloading:
    """The bundle that is being loaded, when patience ends, and what is wrong with it so far, by device."""

    staged: Hosting
    until: float
    failures: dict[str, str]

    def settled(self, now: float) -> bool:
        """Whether there is nothing left to wait for."""
        places = self.staged.places.values()
        if now >= self.until or not places:
            return True
        # While all that are connected are silent, none of them has tried the bundle.
        return any(place.device.living for place in places) and not any(place.loading for place in places)

    def objection(self, served: Hosting) -> str:
        """Why the bundle may not take over from the one that is served; empty if it may."""
        passed, before = len(self.staged.serving()), len(served.serving())
        missing = len(self.staged.model.students) - len(self.staged.served())
        covered = missing <= len(served.model.students) - len(served.served())
        tried = passed > 0 or not self.staged.places
        if covered and tried and passed >= before:
            return ""
        lacking = sorted(set(range(len(self.staged.model.students))) - self.staged.served())
        numbers = ", ".join(map(str, lacking))
        what = f"{passed} devices can serve it, and {before} serve now"
        if lacking:
            what += f"; nobody can serve {'student' if len(lacking) == 1 else 'students'} {numbers}"
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(self.failures.items())[:SHOWN])
        if len(self.failures) > SHOWN:
            reasons += f"; and {len(self.failures) - SHOWN} more"
        return f"{what} ({reasons or 'not loaded in time, or no memory left'})"

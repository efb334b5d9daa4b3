"""A random scenario from a seed. Only sums, products and comparisons: the same on every machine."""

from random import Random

from aggregator import Settings
from aggregator.policy import ALL, Policy
from bundle import Fill
from fault_lab.simulation.network import GENTLE, Harshness
from fault_lab.simulation.scenario import Ask, DeviceSpec, Fault, Kind, Order, Pause, Scenario
from fault_lab.simulation.toy import MB, STUDENT_BYTES, Shape

FILLS: tuple[Fill, ...] = ("mean", "zero", "ridge")
SHAPES = ((1, 1), (1, 2), (2, 1), (2, 2), (2, 2), (4, 1), (2, 3), (3, 2), (4, 2))  # parts, replicas
MOST_ASKS = 120
NETS = (0.0005, 0.002, 0.01, 0.05)  # seconds one way: a switch, Wi-Fi, the next town, far away


def draw(seed: int) -> Scenario:
    random = Random(f"nonn scenario {seed}")
    seconds = random.uniform(10.0, 30.0)
    bundles = draw_bundles(random)
    students = max(shape.students for shape in bundles)
    settings = draw_settings(random)
    count = random.choice((1, 2, 3, 4, 5, 6, 8, 12))
    devices = tuple(draw_device(random, students, alone=count == 1) for _ in range(count))
    orders = draw_orders(random, seconds) if random.random() < 0.25 else ()
    return Scenario(
        seed=seed,
        seconds=seconds,
        settings=settings,
        bundles=bundles,
        fill=random.choice(FILLS) if students < 6 else "mean",
        devices=devices,
        asks=draw_asks(random, seconds, settings),
        faults=draw_faults(random, seconds, count, settings),
        orders=orders,
        harshness=draw_harshness(random),
        drain=(drain := random.uniform(2.0, seconds) if random.random() < 0.08 else None),
        pause=draw_pause(random, drain or seconds) if random.random() < 0.15 else None,
    )


def draw_bundles(random: Random) -> tuple[Shape, ...]:
    """Three: that of the beginning, and others that are mostly of its shape."""
    first = Shape(*random.choice(SHAPES))
    others = (
        first if random.random() < 0.5 else Shape(*random.choice(SHAPES), random.choice((4, 4, 4, 5)))
        for _ in range(2)
    )
    return first, *others


def draw_settings(random: Random) -> Settings:
    return Settings(
        window=random.choice((1, 2, 2, 4)),
        max_batch=random.choice((4, 16, 64)),
        queue=random.choice((1, 4, 16, 256)),
        default_deadline=random.choice((0.5, 1.0, 2.0)),
        longest_deadline=random.choice((3.0, 10.0)),
        margin=random.choice((0.0, 0.01, 0.05)),
        ping=random.choice((0.25, 0.5, 1.0, 1.0)),
        misses=random.choice((2, 3)),
        settle=random.choice((0.0, 0.3, 1.0)),
        heal=random.choice((None, 0.0, 0.5, 2.0, 4.0)),
        drain=random.choice((0.5, 2.0)),
        reload=random.choice((3.0, 12.0)),
        policy=random.choice((ALL, ALL, Policy("covered"), Policy("quorum", random.randint(1, 4)))),
    )


def draw_device(random: Random, students: int, *, alone: bool) -> DeviceSpec:
    room = random.choice((0, 0, 0, 0, 1, 2, 3, students, 2 * students))
    trouble = random.random() < 0.15
    failures = {
        (random.choice((0, 0, 1, 2)), random.randrange(students)): random.choice((1, 2, 1000))
        for _ in range(random.randint(1, 2) if trouble else 0)
    }
    return DeviceSpec(
        start=0.0 if random.random() < 0.6 else random.uniform(0.0, 5.0),
        speed=random.choice((1.0, 4.0, 10.0, 10.0, 40.0)),
        told=random.random() < 0.7,
        memory_bytes=0 if alone else room * STUDENT_BYTES + (10 * MB if room else 0),
        rate=1.0 if random.random() < 0.5 else random.uniform(0.98, 1.02),
        delay=random.choice(NETS),
        jitter=random.choice(NETS),
        fetch=random.choice((0.05, 0.3, 1.0)),
        load=random.choice((0.02, 0.1, 0.3)),
        straggles=random.choice((0.0, 0.0, 0.02, 0.1)),
        straggling=random.choice((5.0, 30.0)),
        failures=failures,
    )


def draw_asks(random: Random, seconds: float, settings: Settings) -> tuple[Ask, ...]:
    """Open loop: clients ask when they ask, however long answers take; now and then a burst."""
    mean = random.choice((0.1, 0.3, 0.3, 1.0, 2.0))
    hurried = random.random() < 0.3
    odd = random.choice((0.0, 0.05, 0.2))
    asks: list[Ask] = []
    at = random.uniform(0.0, 2.0)
    while at < seconds and len(asks) < MOST_ASKS:
        burst = random.randint(5, 30) if random.random() < 0.01 else 1
        asks += [draw_ask(random, at, settings, hurried=hurried, odd=odd) for _ in range(burst)]
        at += 2.0 * mean * random.random()
    return tuple(asks)


def draw_ask(random: Random, at: float, settings: Settings, *, hurried: bool, odd: float) -> Ask:
    """odd: the chance of each thing that few clients do."""
    most = settings.max_batch + (2 if random.random() < odd else 0)
    timeouts = (0.0, 0.02, 0.1, 0.3) if hurried else (None, 0.5, 1.0, 3.0, 20.0)
    return Ask(
        at=at,
        images=random.randint(1, most) if random.random() < 0.3 else random.randint(1, 4),
        delay=0.02 * random.random(),
        timeout=random.choice(timeouts),
        cancel=random.uniform(0.0, 0.5) if random.random() < odd else None,
        strict=random.random() < odd,
        policy=random.choice((Policy("covered"), Policy("quorum", random.randint(1, 6)), ALL))
        if random.random() < 0.3
        else None,
        bundle=random.randint(0, 2) if random.random() < odd else None,
        sound=random.random() >= odd / 4,
    )


def draw_faults(random: Random, seconds: float, devices: int, settings: Settings) -> tuple[Fault, ...]:
    """All over by `seconds`. Somebody always comes back; everybody if students wait for their device."""
    count = random.choice((0, 1, 2, 3, 4, 6, 8))
    kinds = random.sample(list(Kind), random.randint(1, 6))
    faults = [draw_fault(random, seconds, random.choice(kinds), devices, settings) for _ in range(count)]
    return tuple(sorted(faults, key=lambda fault: fault.at))


def draw_fault(random: Random, seconds: float, kind: Kind, devices: int, settings: Settings) -> Fault:
    at = random.uniform(1.0, seconds - 1.0)
    device = random.randrange(devices)
    return Fault(
        kind=kind,
        device=device,
        at=at,
        seconds=min(random.choice((0.1, 1.0, 4.0, 12.0)) * random.uniform(0.5, 1.5), seconds - at),
        amount=random.choice((3.0, 10.0, 50.0)) if kind in (Kind.SLOW, Kind.LAG) else random.random(),
        returns=device == 0 or settings.heal is None or random.random() < 0.7,
    )


def draw_orders(random: Random, seconds: float) -> tuple[Order, ...]:
    """Another bundle; sometimes a second one meanwhile, or what is served already."""
    first = random.uniform(2.0, seconds)
    orders = [Order(first, random.choice((0, 1, 1, 1)))]
    if random.random() < 0.4:
        orders.append(
            Order(first + random.choice((0.0, 0.2, 4.0)) * random.random(), random.choice((0, 1, 2)))
        )
    return tuple(orders)


def draw_pause(random: Random, seconds: float) -> Pause:
    at = random.uniform(1.0, seconds - 1.0)
    return Pause(at, min(random.choice((0.2, 1.0, 5.0)) * random.uniform(0.5, 1.5), seconds - at))


def draw_harshness(random: Random) -> Harshness:
    if random.random() < 0.8:
        return GENTLE
    chances = (0.0, 0.01, 0.05)
    return Harshness(random.choice(chances), random.choice(chances), random.choice(chances))

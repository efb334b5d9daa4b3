"""Every invariant bites: a core that breaks one promise is found out, and for that promise."""

import pytest

from aggregator import Core, events
from fault_lab.invariants import History, Invariant, Violation
from fault_lab.simulation import Simulation, draw
from tests.fault_lab.saboteurs import SABOTEURS

ENOUGH_SEEDS = 400


def find_violation(core: type[Core]) -> tuple[int, Violation]:
    for seed in range(ENOUGH_SEEDS):
        try:
            Simulation(draw(seed), core).run()
        except Violation as violation:
            return seed, violation
    raise AssertionError(f"{ENOUGH_SEEDS} seeds, and nobody noticed")


@pytest.mark.parametrize("sabotage", SABOTEURS)
def test_a_broken_promise_is_noticed(sabotage: str) -> None:
    core, invariant = SABOTEURS[sabotage]
    seed, violation = find_violation(core)
    assert violation.invariant is Invariant[invariant], f"seed {seed}: {violation}"
    assert 0 < len(violation.history) <= 40
    assert "\n" not in str(violation)


def test_every_invariant_has_its_saboteur() -> None:
    assert {Invariant[name] for _, name in SABOTEURS.values()} == set(Invariant)


def test_the_history_is_that_of_the_request_in_question() -> None:
    core, _ = SABOTEURS["answers come twice"]
    _, violation = find_violation(core)
    request = str(violation).split("request ")[1].split()[0]
    asked = [line for line in violation.history if f"Predict(request={request}," in line]
    answered = [line for line in violation.history if f"Answer(request={request}," in line]
    assert (len(asked), len(answered)) == (1, 2)
    assert not any(f"Answer(request={int(request) - 1}," in line for line in violation.history)


def test_a_history_may_be_told_to_forget() -> None:
    history = History(most=10)
    for number in range(1000):
        history.record(float(number), events.Pong(number), ())
    assert 10 <= len(history) <= 20
    assert list(history.lines())[-1].endswith("Pong(link=999)")

"""What a scenario's aggregator is started with, on every real ground."""

from fault_lab.scenario import Scenario


def aggregator_options(scenario: Scenario) -> list[str]:
    cluster = scenario.cluster
    options = {
        "--heal-after": cluster.heal_after,
        "--ping": cluster.ping,
        "--queue": cluster.queue,
        "--policy": scenario.load.policy,
    }
    return [word for name, value in options.items() for word in (name, str(value))]

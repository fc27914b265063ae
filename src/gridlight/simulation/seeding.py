"""How settled the network is when a run begins: what each node has earned by then."""

from gridlight.core.coordinator import Coordinator
from gridlight.core.draw import draw_many
from gridlight.messages.trust import Tier
from gridlight.simulation.adversary import happens
from gridlight.simulation.population import Population
from gridlight.simulation.scenario import Scenario


def is_reference(scenario: Scenario, node: int) -> bool:
    """Whether the node is the network's own."""
    return node >= scenario.nodes.count - scenario.fleet.references


def age_at_start(scenario: Scenario, seed: int, node: int) -> int:
    """How long its clean run is."""
    fleet, oldest = scenario.fleet, scenario.adversary.age_max
    draws = draw_many(seed, "age", node)
    if node < scenario.adversaries and oldest is not None:
        return draws[0] % (oldest + 1)
    if happens(draws[1], fleet.newcomers_ppm):
        return 0
    return fleet.age_min + draws[0] % (fleet.age_max - fleet.age_min + 1)


def seed_fleet(core: Coordinator, scenario: Scenario, seed: int, population: Population) -> list[Tier]:
    """Let the core believe what it would have seen, had the network run for long; each node's tier. O(nodes)."""
    trusted_after = scenario.trust_parameters.trusted_after
    tiers = []
    for node in range(population.count):
        if is_reference(scenario, node):
            tiers.append(Tier.REFERENCE)
            continue
        age = population.age[node] = age_at_start(scenario, seed, node)
        tier = Tier.TRUSTED if age >= trusted_after else Tier.SHADOW
        changed = core.reputation.seed_standing(node, tier=tier, clean_run=age)
        outputs = core.scheduling.handle(core.now_ms, changed)
        assert not outputs, "nodes are seeded before they lend anything"
        if core.bookkeeping.is_priced:
            core.bookkeeping.earnings.trust(population.ids[node], is_trusted=tier is Tier.TRUSTED)
        tiers.append(tier)
    return tiers

"""The population and what its nodes do follow from the seed alone."""

from collections import Counter

import pytest

from gridlight.messages.ids import AssignmentId
from gridlight.simulation.behaviour import Behaviour, Vanishing
from gridlight.simulation.population import Kind, Population, node_id, number_of
from gridlight.simulation.scenario import Attempts, Fleet, Kinds, Nodes

NODES = Nodes(count=5_000, cpus=(1, 2, 2, 4, 4), kinds=Kinds(slow_ppm=100_000, flaky_ppm=50_000))


@pytest.mark.parametrize("number", [0, 1, 31, 32, 421_000, 999_999])
def test_an_id_tells_its_number(number: int) -> None:
    assert number_of(node_id(number)) == number


def test_a_node_that_takes_on_a_new_identity_is_the_same_machine() -> None:
    population = Population(1, NODES)
    before = population.ids[7], population.operator_of(7), population.prefix_of(7)
    population.age[7] = 90

    population.renew(7)

    assert not set(before) & {population.ids[7], population.operator_of(7), population.prefix_of(7)}
    assert population.node_of(population.ids[7]) == population.node_of(before[0]) == 7
    assert population.age[7] == 0
    assert len({*population.ids, before[0]}) == population.count + 1


def test_operators_have_as_many_nodes_as_the_scenario_says() -> None:
    population = Population(1, NODES, Fleet(nodes_per_operator=5), crowd=100, crowd_of=2)

    operators = Counter(population.operator_of(node) for node in range(population.count))

    assert sorted(operators.values())[-2:] == [50, 50]
    assert set(operators.values()) == {5, 50}
    assert len({population.prefix_of(node) for node in range(population.count)}) == len(operators)


def test_nodes_are_as_the_scenario_says() -> None:
    population = Population(1, NODES)

    assert sorted(population.benchmark_ms)[2_500] == pytest.approx(1_000, rel=0.05)
    assert sum(population.slots) / 5_000 == pytest.approx(2.6, rel=0.05)
    assert sum(kind == Kind.SLOW for kind in population.kind) == pytest.approx(500, rel=0.2)
    assert Population(1, NODES).service_ms == population.service_ms
    assert Population(2, NODES).service_ms != population.service_ms


def test_a_wrong_prior_is_wrong_by_the_factor_at_most() -> None:
    nodes = Nodes(count=2_000, prior_wrong_percent=300)
    population = Population(1, nodes)

    ratios = [said / true for said, true in zip(population.benchmark_ms, population.service_ms, strict=True)]
    assert 0.32 < min(ratios) < 0.4
    assert 2.5 < max(ratios) <= 3


def test_attempts_end_as_often_as_the_scenario_says() -> None:
    behaviour = Behaviour(1, Attempts())
    plans = [
        behaviour.plan(AssignmentId(f"{number:016x}"), 1_000, Kind.HONEST, is_faulty=True) for number in range(20_000)
    ]

    vanishing = [plan for plan in plans if plan.vanishing]
    assert len(vanishing) == pytest.approx(1_000, rel=0.1)
    assert sum(plan.vanishing is Vanishing.SILENT for plan in vanishing) == pytest.approx(500, rel=0.15)
    assert sum(plan.vanish_ms == 0 for plan in vanishing) == pytest.approx(500, rel=0.15)
    assert sorted(plan.infer_ms for plan in plans)[10_000] == pytest.approx(1_000, rel=0.02)
    assert sum(plan.ack_ms + plan.run_ms > 4_000 for plan in plans) / 20_000 < 0.02


def test_without_faults_nothing_vanishes_freezes_or_fails() -> None:
    behaviour = Behaviour(1, Attempts(vanish_ppm=1_000_000))
    for kind in Kind:
        for number in range(200):
            plan = behaviour.plan(AssignmentId(f"{number:016x}"), 1_000, kind, is_faulty=False)
            assert not plan.vanishing
            assert not plan.is_failing
            assert not plan.freeze_ms

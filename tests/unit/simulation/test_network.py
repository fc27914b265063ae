"""Links: delay, loss, second copies, and gateways that reach nobody."""

import pytest

from gridlight.core.draw import draw
from gridlight.messages.ids import GatewayId
from gridlight.simulation.network import Network
from gridlight.simulation.scenario import Links


def copies(network: Network) -> list[int]:
    return [len(network.delays_ms(draw(1, "message", number))) for number in range(10_000)]


def test_messages_are_lost_and_doubled_as_often_as_the_scenario_says() -> None:
    network = Network(1, Links(delay_ms=20, delay_spread_permille=500, loss_ppm=50_000, duplicate_ppm=100_000))

    counted = copies(network)

    assert counted.count(0) == pytest.approx(500, rel=0.15)
    assert counted.count(2) == pytest.approx(950, rel=0.15)
    delays_ms = sorted(
        network.delays_ms(draw(2, "message", number) & 0xFFFF | 0xFFFF << 16)[0] for number in range(999)
    )
    assert delays_ms[499] == pytest.approx(20, rel=0.1)


def test_a_calm_network_loses_nothing() -> None:
    network = Network(1, Links(loss_ppm=500_000, duplicate_ppm=500_000))
    network.is_calm = True

    assert set(copies(network)) == {1}


def test_a_gateway_that_is_cut_off_reaches_nobody() -> None:
    network = Network(1, Links())
    network.cut_off[GatewayId("one")] = None

    assert not network.reaches(GatewayId("one"))
    assert network.reaches(GatewayId("two"))

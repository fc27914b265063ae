"""Whether a stranger's program may run in a node's engine, and what is said where it may not."""

from pathlib import Path

from gridlight.adapters.sandbox.port import NOTHING_PROVED, ThirdParty, may_run_third_party
from gridlight.core.consent import Standing
from gridlight.messages.ids import NodeId
from gridlight.services.agent.engine import Engine
from gridlight.services.agent.lent import said_of


async def test_a_plain_child_process_runs_no_strangers_program_and_says_what_it_lacks(tmp_path: Path) -> None:
    engine = Engine("subprocess", NodeId("U" + "A" * 55), tmp_path)
    third_party = await engine.third_party()
    await engine.close()

    assert third_party == may_run_third_party(NOTHING_PROVED.guarantees(frozenset()))
    assert not third_party.is_allowed
    said = said_of(Standing.NEEDS_CONTAINER, third_party)
    assert said.startswith("needs a container: this node's engine gives no proof of network, files, others")


def test_what_stands_for_another_reason_is_said_as_it_is() -> None:
    assert said_of(Standing.STOPPED, ThirdParty(is_allowed=False, missing=("network",))) == "stopped"

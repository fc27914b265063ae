"""What `gridlight node start` becomes. The command line's own libraries stay out of a node's memory."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import get_args

from gridlight.adapters.configuration import BadConfiguration
from gridlight.adapters.endorsements import BadEndorsement
from gridlight.adapters.sandbox.engines import EngineChoice
from gridlight.adapters.sandbox.port import EngineUnavailable
from gridlight.core.preferences import ALWAYS, GENTLE
from gridlight.messages.limits import SLOTS_PER_OFFER_MAX
from gridlight.services.agent.gateway_api import GatewayRefused
from gridlight.services.agent.main import FolderInUse, run
from gridlight.services.agent.options import AgentOptions


def main() -> int:
    """Run an agent; the options were checked by the command line."""
    parser = ArgumentParser(prog="gridlight node start", description=__doc__)
    parser.add_argument("--network", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--slots", type=int, default=SLOTS_PER_OFFER_MAX)
    parser.add_argument("--endorsement", type=Path)
    parser.add_argument("--bus")
    parser.add_argument("--engine", default="auto", choices=get_args(EngineChoice))
    parser.add_argument("--always", action="store_true")
    given = parser.parse_args()
    options = AgentOptions(
        network_url=given.network,
        data=given.data,
        slots=given.slots,
        endorsement_file=given.endorsement,
        own_bus_url=given.bus,
        engine=given.engine,
        defaults=ALWAYS if given.always else GENTLE,
    )
    try:
        run(options)
    except GatewayRefused as refused:
        sys.stderr.write(f"gridlight: the network does not take this node: {refused}\n")
        return 1
    except (FolderInUse, BadEndorsement, BadConfiguration, EngineUnavailable) as error:
        sys.stderr.write(f"gridlight: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

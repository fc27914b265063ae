"""What `gridlight node start` becomes. The command line's own libraries stay out of a node's memory."""

import sys
from argparse import ArgumentParser
from pathlib import Path

from gridlight.adapters.configuration import BadConfiguration
from gridlight.adapters.endorsements import BadEndorsement
from gridlight.messages.limits import SLOTS_PER_OFFER_MAX
from gridlight.services.agent.gateway_api import GatewayRefused
from gridlight.services.agent.main import FolderInUse, run


def main() -> int:
    """Run an agent; the options were checked by the command line."""
    parser = ArgumentParser(prog="gridlight node start", description=__doc__)
    parser.add_argument("--network", required=True)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--slots", type=int, default=SLOTS_PER_OFFER_MAX)
    parser.add_argument("--endorsement", type=Path)
    parser.add_argument("--always", action="store_true")
    options = parser.parse_args()
    try:
        run(options.network, options.data, options.slots, options.endorsement, is_always=options.always)
    except GatewayRefused as refused:
        sys.stderr.write(f"gridlight: the network does not take this node: {refused}\n")
        return 1
    except (FolderInUse, BadEndorsement, BadConfiguration) as error:
        sys.stderr.write(f"gridlight: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

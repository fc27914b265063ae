"""What anybody, and what an administrator, reads of how answers are verified: nodes, checks, epochs and terms."""

from typing import Final

from msgspec.structs import asdict

from gridlight.adapters.store import CheckRecord, CommitRecord, EpochRecord, FaultRecord
from gridlight.messages.api import (
    CheckView,
    CommitsResponse,
    CommitView,
    EpochView,
    FaultView,
    TrustResponse,
)
from gridlight.messages.trust import TrustParameters
from gridlight.services.gateway.assurances import MALICIOUS_SHARE, levels

_NODE_ITSELF: Final = "node_id"


def trust_response(trust: TrustParameters) -> TrustResponse:
    """What applies, and what each level of it is worth."""
    return TrustResponse(
        profile=trust.profile,
        malicious_share=MALICIOUS_SHARE,
        levels=levels(trust.trusted_after),
        parameters=asdict(trust),
    )


def check_view(check: CheckRecord) -> CheckView:
    """One check, with who is involved: for administrators."""
    return CheckView(**asdict(check))


def fault_view(fault: FaultRecord) -> FaultView:
    """One fault of a node that is named elsewhere, with the evidence: for administrators."""
    return FaultView(**{name: value for name, value in asdict(fault).items() if name != _NODE_ITSELF})


def epoch_view(epoch: EpochRecord) -> EpochView:
    """What was committed to, and with what, once that is revealed."""
    return EpochView(epoch=epoch.epoch, commitment=epoch.commitment, secret=epoch.secret)


def commits_response(epoch: int, commits: list[CommitRecord], limit: int) -> CommitsResponse:
    """One page: all that is needed to draw again who had to be audited, and no request's id."""
    views = [CommitView(one.commit, one.node_id, one.audit_ppm, one.is_audited) for one in commits]
    return CommitsResponse(epoch=epoch, commits=views, next_after=views[-1].commit if len(views) == limit else None)

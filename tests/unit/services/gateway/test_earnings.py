"""An operator's lines: added up by sheet and kind, so that they say how much and never what a run was for."""

from tests.unit.core.test_receipts import HEAD
from tests.unit.core.world import node_id

from gridlight.adapters.ledger_lines import Line
from gridlight.client.earnings import added_up, total
from gridlight.messages.ledger import GENESIS
from gridlight.messages.receipts import SheetRoot
from gridlight.services.gateway.earnings import by_sheet


def root(sheet: int, ledger_seq: int) -> SheetRoot:
    return SheetRoot(
        sheet=sheet,
        receipts=0,
        merkle_root=HEAD,
        prev_root=GENESIS,
        ledger_seq=ledger_seq,
        ledger_head=HEAD,
        closed_ms=sheet * 1_000,
        epoch=sheet,
    )


FAULT = f"{node_id(1)}:7:audit"
LINES = [
    Line(2, 1, "final:req_1", {"pending": 100}),
    Line(3, 2, "final:req_2", {"pending": 100}),
    Line(5, 3, "checks:1", {"pending": 50}),
    Line(6, 3, "vest:1", {"pending": -100, "avail": 100}),
    Line(8, 4, f"claw:{FAULT}", {"pending": -150}),
    Line(9, 4, f"slash:{FAULT}", {"stake": -10}),
    Line(10, 5, "seal:b1", {"avail": -100, "inflight": 100}),
    Line(11, 6, "confirm:" + HEAD, {"inflight": -100}),
    Line(12, 7, "grant:thanks", {"avail": 5}),
]


def test_answers_and_checks_of_a_sheet_are_one_sum() -> None:
    first, vested, *_ = by_sheet(LINES, [root(0, 1), root(1, 6), root(2, 12)])

    assert (first.sheet, first.closed_ms, first.kind, first.pending) == (1, 1_000, "earned", "0.0000250")
    assert (vested.kind, vested.pending, vested.available) == ("vested", "-0.0000100", "0.0000100")


def test_a_loss_says_why_and_not_by_which_run() -> None:
    lines = by_sheet(LINES, [root(0, 1), root(1, 6), root(2, 12)])
    lost, slashed = (next(line for line in lines if line.kind == kind) for kind in ("clawed back", "slashed"))

    assert (lost.pending, slashed.stake) == ("-0.0000150", "-0.0000010")
    assert node_id(1) in lost.why
    assert "false answer (number 7" in lost.why
    assert "audit" not in lost.why


def test_lines_add_up_to_what_the_entries_did() -> None:
    lines = by_sheet(LINES, [root(0, 1), root(1, 6), root(2, 12)])
    told = added_up(
        lines,
        node_id=node_id(1),
        operator="ben",
        network_key="U",
        vesting=[],
        is_trusted=True,
        disputes=0,
    )

    for part, field in (("pending", "pending"), ("avail", "available"), ("stake", "stake"), ("inflight", "in_flight")):
        assert total(lines, field) == sum(line.changes.get(part, 0) for line in LINES)
    assert told.closed_ms == 2_000
    assert (told.earned, told.paid, told.clawed_back, told.slashed, told.available, told.pending) == (
        "0.0000250",
        "0.0000100",
        "0.0000150",
        "0.0000010",
        "0.0000005",
        "0.0000000",
    )
    assert set(told.totals().values()) >= {told.earned, told.paid}

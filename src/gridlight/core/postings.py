"""Every way in which money moves: for each its key, so that it moves once, and its postings, so that none is made.

The functions decide nothing: `escrow` and `earnings` say when, and how much. An entry that would move nothing is None.
"""

from collections.abc import Iterable

from msgspec import Struct

from gridlight.messages.ledger import (
    EXT_CHAIN,
    NET_CHAINFEE,
    NET_FEE,
    NET_SLASH,
    NET_VERIFY,
    PayoutLine,
    Posting,
    op_avail,
    op_inflight,
    op_pending,
    op_stake,
    req_avail,
    req_escrow,
)


class Draft(Struct, frozen=True, gc=False):
    """An entry that is not posted yet."""

    key: str
    postings: tuple[Posting, ...]


def deposit(tx_hash: str, operation: int, account_id: str, amount: int) -> Draft:
    """A requester's payment came in, as this operation of a transaction on the chain."""
    return _move(f"deposit:{tx_hash}:{operation}", EXT_CHAIN, req_avail(account_id), amount)


def grant(grant_id: str, account: str, amount: int) -> Draft:
    """The founder vouches for money that is on no chain: test coin, or a start for the pool that pays checks."""
    return _move(f"grant:{grant_id}", EXT_CHAIN, account, amount)


def put_up_stake(tx_hash: str, operation: int, operator: str, amount: int) -> Draft:
    """An operator put up a stake."""
    return _move(f"stake:{tx_hash}:{operation}", EXT_CHAIN, op_stake(operator), amount)


def open_key(task: str) -> str:
    """What is posted once for every paid task."""
    return f"open:{task}"


def open_task(task: str, account_id: str, price: int) -> Draft:
    """A task's whole price is held before anybody is sent it."""
    return _move(open_key(task), req_avail(account_id), req_escrow(account_id), price)


def final(task: str, account_id: str, operator: str, reward: int) -> Draft:
    """Whoever was served earned the reward. The rest stays held for `collect`, which takes many tasks' at once."""
    return _move(f"final:{task}", req_escrow(account_id), op_pending(operator), reward)


def refund(task: str, account_id: str, price: int) -> Draft:
    """Void, late, failed or refused: it costs nothing."""
    return _move(f"refund:{task}", req_escrow(account_id), req_avail(account_id), price)


def credit(task: str, account_id: str, amount: int) -> Draft:
    """The answer that was served was wrong: of what liars lost, its price once more."""
    return _move(f"credit:{task}", NET_SLASH, req_avail(account_id), amount)


def collect(number: int, shares: Iterable[tuple[str, int, int]]) -> Draft:
    """Of final tasks: for each requester's account what goes to the network, and to the pool that pays checks."""
    postings, fees, verify = [], 0, 0
    for account_id, fee, for_checks in shares:
        postings.append(Posting(req_escrow(account_id), -fee - for_checks))
        fees, verify = fees + fee, verify + for_checks
    postings += [Posting(account, sum_) for account, sum_ in ((NET_FEE, fees), (NET_VERIFY, verify)) if sum_]
    return Draft(f"collect:{number}", tuple(postings))


def pay_checks(number: int, shares: Iterable[tuple[str, int]]) -> Draft:
    """Checks, newcomers' runs and canaries: for each operator what those of a while earned."""
    earned = tuple(Posting(op_pending(operator), amount) for operator, amount in shares)
    return Draft(f"checks:{number}", (Posting(NET_VERIFY, -sum(one.amount for one in earned)), *earned))


def vest(number: int, shares: Iterable[tuple[str, int]]) -> Draft:
    """Held back for long enough: the operators' own."""
    moved: list[Posting] = []
    for operator, amount in shares:
        moved += (Posting(op_pending(operator), -amount), Posting(op_avail(operator), amount))
    return Draft(f"vest:{number}", tuple(moved))


def claw_back(fault: str, shares: Iterable[tuple[str, int]]) -> Draft:
    """Held back for this: a fault of a node. Of each operator that it earned for, what did not vest."""
    lost = tuple(Posting(op_pending(operator), -amount) for operator, amount in shares)
    return Draft(f"claw:{fault}", (*lost, Posting(NET_SLASH, -sum(one.amount for one in lost))))


def slash(fault: str, operator: str, amount: int) -> Draft:
    """Of a stake, for an answer that a referee proved false."""
    return _move(f"slash:{fault}", op_stake(operator), NET_SLASH, amount)


def seal(batch: str, lines: Iterable[PayoutLine]) -> Draft:
    """A payout batch is about to be signed: its lines can be paid by nothing else from now on."""
    postings: list[Posting] = []
    for line in lines:
        postings.append(Posting(op_avail(line.operator), -line.amount))
        postings.append(Posting(op_inflight(line.operator), line.amount))
    return Draft(f"seal:{batch}", tuple(postings))


def confirm(tx_hash: str, lines: Iterable[PayoutLine], chain_fee: int = 0) -> Draft:
    """The chain has it. Its fee comes from what the network set aside for that."""
    postings = [Posting(op_inflight(line.operator), -line.amount) for line in lines]
    postings += [Posting(NET_CHAINFEE, -chain_fee)] if chain_fee else []
    return Draft(f"confirm:{tx_hash}", (*postings, Posting(EXT_CHAIN, -sum(one.amount for one in postings))))


def give_back(batch: str, lines: Iterable[PayoutLine]) -> Draft:
    """A payout batch, or some lines of it, can never be paid by the chain any more."""
    postings: list[Posting] = []
    for line in lines:
        postings.append(Posting(op_inflight(line.operator), -line.amount))
        postings.append(Posting(op_avail(line.operator), line.amount))
    return Draft(f"fail:{batch}", tuple(postings))


def set_aside_chain_fees(number: int, amount: int) -> Draft:
    """Of the network's own part, for what the chain takes."""
    return _move(f"chainfee:{number}", NET_FEE, NET_CHAINFEE, amount)


def _move(key: str, source: str, target: str, amount: int) -> Draft:
    return Draft(key, (Posting(source, -amount), Posting(target, amount)))

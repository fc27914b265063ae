"""What the coordinator answers a gateway that asks for a node's reasons."""

from tests.unit.core.world import GATEWAY, OTHER_WORKLOAD, WORKLOAD, World, node_id, slots

from gridlight.messages.funds import EarningsAsked, FundsAsked, TellEarnings, TellFunds
from gridlight.messages.ids import WorkloadId
from gridlight.messages.ledger import AccountCredited, MoneyParameters, PricesSet, req_avail
from gridlight.messages.reasons import Reason, ReasonsAsked, TellReasons
from gridlight.messages.trust import Assurance
from gridlight.services.coordinator.questions import answer

QUESTION = "0123456789abcdef"


def told(world: World, number: int) -> TellReasons:
    """The answer, which changes nothing in the core."""
    before = world.coordinator.snapshot()
    answered = answer(world.coordinator, ReasonsAsked(gateway_id=GATEWAY, node_id=node_id(number), question=QUESTION))
    assert world.coordinator.snapshot() == before
    assert isinstance(answered, TellReasons)
    return answered


def test_a_node_is_told_of_each_workload_that_it_has_offered() -> None:
    world = World(workloads=(WORKLOAD, OTHER_WORKLOAD))
    node = world.join()
    world.result(world.assign())

    (counted,) = told(world, 1).workloads or ()
    world.offer(node, slots(1), slots(1, workload=OTHER_WORKLOAD))

    assert (counted.workload, counted.considered, counted.reasons) == (WORKLOAD, 1, {Reason.DONE: 1})
    assert counted.since_ms == world.now_ms
    assert [one.workload for one in told(world, 1).workloads or ()] == [WORKLOAD, OTHER_WORKLOAD]


def test_a_node_that_has_offered_nothing_yet_is_told_of_nothing() -> None:
    world = World()
    world.enrol()

    assert told(world, 1).workloads == ()


def test_a_node_that_never_enrolled_is_nobody() -> None:
    answered = told(World(), 1)

    assert answered == TellReasons(gateway_id=GATEWAY, question=QUESTION, workloads=None)


def test_an_account_is_told_of_with_what_a_task_would_cost_it() -> None:
    world = World()
    world.tell(PricesSet(money=MoneyParameters(), work={WORKLOAD: 1_000}))
    world.tell(AccountCredited(key="grant:anna", account=req_avail("anna"), amount=5_000))

    def asked(account: str | None, workload: WorkloadId | None) -> TellFunds:
        told = answer(
            world.coordinator,
            FundsAsked(
                gateway_id=GATEWAY,
                question=QUESTION,
                account_id=account,
                workload=workload,
                assurance=Assurance.NONE,
            ),
        )
        assert isinstance(told, TellFunds)
        return told

    whole, nobody = asked("anna", WORKLOAD), asked(None, None)

    assert (whole.seq, whole.available, whole.held, whole.price) == (1, 5_000, 0, 1_100)
    assert (nobody.available, nobody.held, nobody.price) == (0, 0, 0)


def test_a_node_that_the_books_do_not_know_earned_nothing() -> None:
    world = World()
    asked = EarningsAsked(gateway_id=GATEWAY, node_id=node_id(1), question=QUESTION)

    unknown = answer(world.coordinator, asked)
    world.coordinator.bookkeeping.earnings.know(node_id(1), "ben")
    known = answer(world.coordinator, asked)

    assert isinstance(unknown, TellEarnings)
    assert isinstance(known, TellEarnings)
    assert unknown.node is None
    assert known.node is not None
    assert (known.node.operator, known.node.days) == ("ben", ())

"""Repeated runs, whoever answered and in whatever way: who ran the model is never at fault, who copied is found."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.core.hearing import PRIMARY, TRUST, Hearing
from tests.unit.core.world import WORKLOAD, only

from gridlight.core.draw import draw
from gridlight.core.notices import CheckWanted, FaultFound
from gridlight.core.verification import MILLION
from gridlight.messages.limits import DITHER_BITS
from gridlight.messages.results import Detection, encode_detections
from gridlight.messages.trust import Comparison, Role, TrustParameters

PROBE_DELTA, DITHER_DELTA = 10, 1_000
BOXES = Comparison(
    name="boxes",
    parameters={
        "iou_min": 9_500,
        "score_delta_max": 100,
        "border_band": 100,
        "probe_delta_max": PROBE_DELTA,
        "dither_delta_max": DITHER_DELTA,
    },
)
OUTPUT = encode_detections([Detection(class_id=1, score=9_000, box=(160, 160, 1_760, 1_760))])


def probes_of(seed: int, rounding: int = 0) -> tuple[int, ...]:
    """What the model says at the places of a seed, moved by its dither and by how a machine rounds."""
    places, dither = seed >> DITHER_BITS, draw(seed, "dither") % (DITHER_DELTA - PROBE_DELTA)
    return (draw(places, "value") % 10**9 + dither + rounding,)


def checking(recheck_ppm: int, shadows: int, reference_ppm: int) -> TrustParameters:
    """Who checks, and how much of that is repeated."""
    return msgspec.structs.replace(
        TRUST,
        recheck_ppm=recheck_ppm,
        shadow_ppm=int(shadows > 0),
        shadows_per_check_max=shadows,
        reference_ppm=reference_ppm,
    )


@given(
    trust=st.builds(
        checking, st.sampled_from([0, 300_000, MILLION]), st.integers(0, 3), st.sampled_from([0, MILLION // 2])
    ),
    copies=st.lists(st.booleans(), min_size=12, max_size=12),
    roundings=st.lists(st.integers(0, PROBE_DELTA), min_size=12, max_size=12),
)
def test_who_ran_the_model_is_never_at_fault_and_a_repeated_copy_always(
    trust: TrustParameters, copies: list[bool], roundings: list[int]
) -> None:
    hearing = Hearing(trust, {WORKLOAD: BOXES})
    copied, seeds, repeated = set[int](), dict[int, int](), set[int]()
    for number, (is_copying, rounding) in enumerate(zip(copies, roundings, strict=True), start=1):
        hearing.commit(PRIMARY, audit_ppm=MILLION, output=OUTPUT, probes=probes_of(number, rounding))
        node = 100 * number
        while hearing.verifier.docket.cases:
            wanted, node = hearing.next_check(), node + 1
            if wanted.role is Role.REFERENCE:
                repeated.add(wanted.probe_seed)
                hearing.answer(wanted, node, output=OUTPUT, probes=probes_of(wanted.probe_seed))
                continue
            seeds[node] = wanted.probe_seed
            probes = probes_of(number if is_copying else wanted.probe_seed, rounding)
            if abs(probes_of(wanted.probe_seed)[0] - probes[0]) > PROBE_DELTA:
                copied.add(node)
            hearing.answer(wanted, node, output=OUTPUT, probes=probes)
    at_fault = {one.node: one.are_probes_wrong for one in only(FaultFound, hearing.said)}
    assert at_fault == {node: True for node in copied if seeds[node] in repeated}
    assert all(copies[node // 100 - 1] for node in at_fault), "and nobody else"


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**64 - 1))
def test_no_seed_tells_a_node_alone_what_it_is_asked_for(probe_seed: int, secret: int) -> None:
    """Any seed may be a first one as well; two nodes of a group see that they have the same task, and no more."""
    hearing = Hearing(TRUST, {WORKLOAD: BOXES})
    hearing.commit(audit_ppm=MILLION, output=OUTPUT, probes=(0,))
    (case,) = hearing.verifier.docket.cases.values()
    case.probe_seed, case.draw = probe_seed, secret

    wanted: CheckWanted = hearing.next_check()

    assert 0 <= wanted.probe_seed < 2**53
    assert wanted.probe_seed >> DITHER_BITS == probe_seed >> DITHER_BITS

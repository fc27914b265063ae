"""A manifest names steps of the closed lists, with parameters that they can use and that fit each other."""

from typing import Any

import pytest
from msgspec.structs import replace

from gridlight.messages.manifests import Manifest, Run, Step
from gridlight.messages.trust import Comparison
from gridlight.workloads.contract import PREPARES, PRESENTS, BadManifest, check_manifest, manifest_named
from gridlight.workloads.prepare import PREPARES as PREPARED
from gridlight.workloads.present import PRESENTS as PRESENTED

GOOD = manifest_named("coco-ssd")
SIZE = {"width": 300, "height": 300}


def test_the_lists_are_those_of_the_steps_themselves() -> None:
    assert PREPARES.keys() == PREPARED.keys()
    assert PRESENTS.keys() == PRESENTED.keys()
    check_manifest(GOOD)


def test_an_image_may_bring_any_number_of_artifacts() -> None:
    image = Run(name="image", image="0" * 64)
    plain = {key: value for key, value in GOOD.compare.parameters.items() if key != "dither_delta_max"}
    boxes = replace(GOOD.compare, parameters=plain)
    check_manifest(replace(GOOD, run=image, compare=boxes, artifacts={"layer": "1" * 64, "config": "2" * 64}))


def test_what_a_step_may_be_told_beside_it_need_not_be() -> None:
    plain = {key: value for key, value in GOOD.run.parameters.items() if key != "tie_max"}
    assert plain != GOOD.run.parameters
    check_manifest(replace(GOOD, run=Run(name="ssd", parameters=plain)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prepare": Step(name="decode_here", parameters=SIZE)}, "there is no 'decode_here'"),
        ({"prepare": Step(name="resize_rgb_uint8", parameters={"width": 300})}, "takes the parameters height, width"),
        ({"prepare": Step(name="resize_rgb_uint8", parameters={**SIZE, "depth": 1})}, "no more and no less"),
        ({"prepare": Step(name="resize_rgb_uint8", parameters={"width": 7, "height": 300})}, "width is 7"),
        ({"prepare": Step(name="resize_rgb_uint8", parameters={"width": 2_000, "height": 2_000})}, "more than"),
        ({"present": Step(name="resized_boxes", parameters={"width": 320, "height": 300})}, "one width and one height"),
        ({"present": Step(name="as_html", parameters={})}, "there is no 'as_html'"),
        ({"run": Run(name="ssd", parameters=SIZE)}, "takes the parameters candidates_max"),
        ({"run": Run(name="ssd", parameters={**GOOD.run.parameters, "tie_max": 10_001})}, "tie_max is 10001"),
        ({"artifacts": {"one": "0" * 64, "two": "1" * 64}}, "exactly one artifact"),
        ({"compare": Comparison(name="boxes", parameters={})}, "takes the parameters"),
        ({"compare": Comparison(name="tensors", parameters={"delta_max": 1, "probe_delta_max": 1})}, "compared as"),
        ({"run": Run(name="image", image="0" * 64)}, "dither_delta_max is for what our own program runs"),
        ({"labels": ("", "")}, "no label"),
    ],
    ids=str,
)
def test_what_is_on_no_list_or_does_not_fit_is_refused_with_the_reason(changes: dict[str, Any], said: str) -> None:
    bad: Manifest = replace(GOOD, **changes)

    with pytest.raises(BadManifest, match=said):
        check_manifest(bad)


@pytest.mark.parametrize(("name", "image"), [("image", None), ("ssd", "0" * 64)])
def test_a_run_names_an_image_if_and_only_if_it_is_one(name: Any, image: str | None) -> None:
    with pytest.raises(ValueError, match="if and only if"):
        Run(name=name, image=image)

"""What a gateway takes from publishers and from the network's founder, and what it refuses, each with its reason."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from tests.integration.workload_desk import DIGEST, HOUR_MS, TOKEN, WEIGHTS, Desk, manifest, open_desk

from gridlight.adapters.manifests import publish
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.codec import Decoder, encode
from gridlight.messages.ids import WorkloadId
from gridlight.messages.manifests import canonical, workload_id
from gridlight.messages.workload_api import (
    PublishBody,
    PublishedResponse,
    RuleBody,
    WorkloadResponse,
    WorkloadsResponse,
)
from gridlight.messages.workloads import WorkloadState
from gridlight.services.gateway.publications import UNAPPROVED_DAYS, UNAPPROVED_PER_PUBLISHER_MAX, Publications
from gridlight.workloads.contract import catalogue

_published: Decoder[PublishedResponse] = Decoder(PublishedResponse)
_listed: Decoder[WorkloadsResponse] = Decoder(WorkloadsResponse)
_one: Decoder[WorkloadResponse] = Decoder(WorkloadResponse, 1_000_000)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "desk") as one:
        yield one


def code(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["code"])


async def brought(desk: Desk) -> WorkloadId:
    """A workload that is published whole."""
    one = manifest(desk.publisher)
    assert (await desk.publish(one)).status_code == 200
    assert (await desk.upload()).status_code == 204
    return workload_id(one)


async def states(desk: Desk, *, as_admin: bool = False) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {TOKEN}"} if as_admin else {}
    listed = _listed.decode((await desk.http.get("/v1/workloads", headers=headers)).content)
    return {one.name: one.state.value for one in listed.data}


async def test_a_published_workload_is_named_to_administrators_and_served_to_nobody(desk: Desk) -> None:
    answer = _published.decode((await desk.publish(manifest(desk.publisher))).content)
    assert answer.missing == [DIGEST]
    assert (await desk.upload()).status_code == 204

    assert await states(desk) == {"coco-ssd": "approved"}
    assert await states(desk, as_admin=True) == {"coco-ssd": "approved", "stranger": "published"}
    assert code(await desk.http.get(f"/v1/blobs/sha256:{DIGEST}")) == "UNKNOWN_BLOB"
    assert code(await desk.http.get(f"/v1/workloads/{answer.id}")) == "UNKNOWN_WORKLOAD"
    again = _published.decode((await desk.publish(manifest(desk.publisher))).content)
    assert (again.state, again.missing) == (WorkloadState.PUBLISHED, [])


async def test_an_approved_workload_is_offered_with_all_that_a_node_checks(desk: Desk) -> None:
    workload = await brought(desk)

    ruled = await desk.approve(workload, percent=10)

    assert ruled.status_code == 200, ruled.text
    assert ruled.json()["workload"]["rollout_percent"] == 10
    found = _one.decode((await desk.http.get(f"/v1/workloads/{workload}")).content)
    assert found.manifest == canonical(manifest(desk.publisher))
    assert found.publication
    assert found.countersignature
    models = (await desk.http.get("/v1/models")).json()["data"]
    assert {one["name"] for one in models} == {"coco-ssd", "stranger"}
    assert (await desk.http.get(f"/v1/blobs/sha256:{DIGEST}")).content == WEIGHTS


async def test_a_stopped_workload_is_no_model_and_its_artifacts_are_not_served(desk: Desk) -> None:
    workload = await brought(desk)
    await desk.approve(workload)

    assert (await desk.stop(workload)).json()["workload"]["state"] == "stopped"

    assert await states(desk) == {"coco-ssd": "approved", "stranger": "stopped"}
    assert [one["name"] for one in (await desk.http.get("/v1/models")).json()["data"]] == ["coco-ssd"]
    assert code(await desk.http.get(f"/v1/blobs/sha256:{DIGEST}")) == "UNKNOWN_BLOB"
    assert code(await desk.approve(workload, serial=1)) == "OLD_SERIAL"
    assert (await desk.approve(workload, serial=3)).status_code == 200


async def test_what_comes_with_the_program_can_be_stopped_and_approved_again(desk: Desk) -> None:
    [ours] = catalogue()

    assert (await desk.stop(ours, serial=1)).status_code == 200
    assert await states(desk) == {"coco-ssd": "stopped"}
    assert (await desk.approve(ours, serial=2)).json()["workload"]["state"] == "approved"


async def test_an_upload_goes_on_where_it_broke_off(desk: Desk) -> None:
    await desk.publish(manifest(desk.publisher))
    desk.publications.append(DIGEST, WEIGHTS[:30_000], len(WEIGHTS))  # as a broken connection leaves it

    state = await desk.http.head(f"/v1/blobs/sha256:{DIGEST}")
    assert (state.status_code, state.headers["Upload-Offset"]) == (204, "30000")
    assert code(await desk.upload(WEIGHTS, offset=0)) == "UPLOAD_CONFLICT"
    assert (await desk.upload(WEIGHTS[30_000:], offset=30_000)).status_code == 204

    whole = await desk.http.head(f"/v1/blobs/sha256:{DIGEST}")
    assert (whole.status_code, whole.headers["Upload-Offset"]) == (200, str(len(WEIGHTS)))
    assert (await desk.upload()).status_code == 204, "what is here need not come again"


async def test_bytes_that_are_not_the_digests_are_dropped(desk: Desk) -> None:
    await desk.publish(manifest(desk.publisher))

    assert code(await desk.upload(WEIGHTS[:-1] + b"X")) == "DIGEST_MISMATCH"

    assert (await desk.http.head(f"/v1/blobs/sha256:{DIGEST}")).headers["Upload-Offset"] == "0"
    assert (await desk.upload()).status_code == 204


async def test_an_upload_is_the_publishers_and_no_longer_than_announced(desk: Desk) -> None:
    assert code(await desk.upload()) == "UNKNOWN_BLOB"
    await desk.publish(manifest(desk.publisher))

    assert code(await desk.upload(key=SigningKey.generate())) == "BAD_SIGNATURE"
    assert code(await desk.upload(WEIGHTS + b"more")) == "BODY_TOO_LARGE"


async def test_of_two_who_announce_one_artifact_either_may_bring_it(desk: Desk) -> None:
    await desk.publish(manifest(desk.publisher))
    other = SigningKey.generate()
    await desk.publish(manifest(other, "another"), other)

    assert (await desk.upload(key=other)).status_code == 204
    assert _published.decode((await desk.publish(manifest(desk.publisher))).content).missing == []


async def test_a_node_goes_on_with_an_artifact_from_any_byte(desk: Desk) -> None:
    await desk.approve(await brought(desk))
    address = f"/v1/blobs/sha256:{DIGEST}"

    rest = await desk.http.get(address, headers={"Range": "bytes=60000-"})
    assert (rest.status_code, rest.content) == (206, WEIGHTS[60_000:])
    assert rest.headers["Content-Range"] == f"bytes 60000-{len(WEIGHTS) - 1}/{len(WEIGHTS)}"
    assert code(await desk.http.get(address, headers={"Range": f"bytes={len(WEIGHTS)}-"})) == "RANGE_NOT_SATISFIABLE"
    for odd in ("bytes=0-", "bytes=-5", "bytes=x-", "lines=3-"):
        assert (await desk.http.get(address, headers={"Range": odd})).content == WEIGHTS


async def test_a_manifest_that_is_not_as_it_should_be_is_refused_with_the_reason(desk: Desk) -> None:
    good = manifest(desk.publisher)
    word = publish(desk.publisher, workload_id(good), expires_ms=desk.clock.now_ms() + HOUR_MS)

    async def sent(data: bytes, said: str = word) -> str:
        body = encode(PublishBody(manifest=data, publication=said))
        return code(await desk.http.post("/v1/workloads", content=body))

    assert await sent(canonical(replace(good, version="9.9"))) == "WORKLOAD_CHANGED"
    assert await sent(canonical(good) + b" ") == "WORKLOAD_CHANGED"
    assert await sent(b"{}") == "BAD_MANIFEST"
    assert await sent(canonical(manifest(None))) == "WORKLOAD_UNSIGNED"
    assert await sent(canonical(good), "nonsense") == "WORKLOAD_UNSIGNED"
    assert code(await desk.publish(good, SigningKey.generate())) == "WORKLOAD_UNSIGNED"
    assert code(await desk.publish(good, lasts_ms=-1)) == "WORKLOAD_EXPIRED"
    networked = canonical(good).replace(b'"permissions":[]', b'"permissions":["network"]')
    assert await sent(networked) == "BAD_MANIFEST"
    wrong_step = replace(good, prepare=replace(good.prepare, name="decode_jpeg_here"))
    assert code(await desk.publish(wrong_step)) == "BAD_MANIFEST"
    assert code(await desk.http.post("/v1/workloads", content=b"no JSON")) == "BAD_MANIFEST"


async def test_nobody_takes_the_name_or_the_place_of_what_comes_with_the_program(desk: Desk) -> None:
    [ours] = catalogue()
    assert code(await desk.publish(manifest(desk.publisher, "coco-ssd"))) == "BAD_MANIFEST"
    await desk.approve(await brought(desk))
    await desk.stop(ours, serial=1)

    assert next(iter(desk.offered)) == ours, "who names no model asks for the network's own, even if it is stopped"


async def test_a_word_counts_by_the_networks_signature_and_not_by_the_token(desk: Desk) -> None:
    workload = await brought(desk)

    assert code(await desk.http.post("/v1/network/workloads", content=b"{}")) == "UNAUTHORIZED"
    assert code(await desk.rule(RuleBody(workload=workload), token="wrong-token-of-some-length")) == "FORBIDDEN"
    assert code(await desk.rule(RuleBody(workload=workload))) == "BAD_REQUEST"
    assert code(await desk.approve(workload, key=desk.publisher)) == "WORKLOAD_UNSIGNED"
    assert code(await desk.stop(workload, key=desk.publisher)) == "WORKLOAD_UNSIGNED"
    assert code(await desk.approve(workload, lasts_ms=-1)) == "WORKLOAD_EXPIRED"
    unknown = WorkloadId("nobody@sha256:" + "0" * 64)
    assert code(await desk.approve(unknown)) == "UNKNOWN_WORKLOAD"
    assert await states(desk) == {"coco-ssd": "approved"}


async def test_a_workload_whose_artifacts_did_not_come_is_not_approved(desk: Desk) -> None:
    one = manifest(desk.publisher)
    await desk.publish(one)

    assert code(await desk.approve(workload_id(one))) == "ARTIFACTS_MISSING"


async def test_one_publisher_fills_no_gateway(desk: Desk) -> None:
    for number in range(UNAPPROVED_PER_PUBLISHER_MAX):
        assert (await desk.publish(manifest(desk.publisher, f"stranger-{number}"))).status_code == 200

    assert code(await desk.publish(manifest(desk.publisher, "one-more"))) == "STORAGE_FULL"
    other = SigningKey.generate()
    assert (await desk.publish(manifest(other, "another"), other)).status_code == 200


async def test_all_that_is_announced_has_room_or_is_refused(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "small", bytes_max=len(WEIGHTS)) as desk:
        assert (await desk.publish(manifest(desk.publisher))).status_code == 200
        assert code(await desk.publish(manifest(desk.publisher, "second"))) == "STORAGE_FULL"


async def test_a_network_may_name_its_publishers(tmp_path: Path) -> None:
    known = SigningKey.generate()
    async with open_desk(tmp_path / "closed", publishers=(known.public,)) as desk:
        assert code(await desk.publish(manifest(desk.publisher))) == "UNKNOWN_PUBLISHER"
        assert (await desk.publish(manifest(known), known)).status_code == 200


async def test_what_nobody_approves_makes_way_after_a_week_with_its_artifacts(desk: Desk) -> None:
    await brought(desk)
    old = manifest(desk.publisher)
    later_ms = desk.clock.now_ms() + (UNAPPROVED_DAYS + 1) * 86_400_000
    second = manifest(desk.publisher, "second", sha256(b"other").hexdigest())
    word = publish(desk.publisher, workload_id(second), expires_ms=later_ms + HOUR_MS)

    await desk.publications.take(encode(PublishBody(manifest=canonical(second), publication=word)), now_ms=later_ms)

    assert desk.publications.find(workload_id(old)) is None
    assert desk.publications.path(DIGEST) is None


async def test_what_was_published_outlives_the_gateways_process(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "desk") as desk:
        workload = await brought(desk)
        shared = desk.publications._shared

        reopened = Publications(tmp_path / "desk" / "published", shared, desk.offered, bytes_max=1)

        assert reopened.find(workload) == desk.publications.find(workload)
        assert reopened.missing(manifest(desk.publisher)) == []


async def test_a_gateway_without_a_folder_takes_none(desk: Desk) -> None:
    closed = Publications(None, desk.publications._shared, desk.offered, bytes_max=1)

    assert closed.waiting() == []
    assert closed.missing(manifest(desk.publisher)) == [DIGEST]

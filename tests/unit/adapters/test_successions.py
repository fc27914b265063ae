"""An operator's keys that follow on each other: what both keys sign, and what becomes of the files."""

from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import UNSET

from gridlight.adapters import successions
from gridlight.adapters.certificates import (
    BadCertificate,
    brought_certificate,
    certify,
    check_certificate,
)
from gridlight.adapters.signatures import SigningKey, write_secret
from gridlight.adapters.statements import join_parts, split_parts
from gridlight.adapters.successions import (
    BadSuccession,
    check_successions,
    predecessors,
    rotate_key,
    split_carried,
    succession,
    successions_file,
    successions_to,
)
from gridlight.core.lineages import PAUSE_MS
from gridlight.messages.codec import ProtocolViolation, encode
from gridlight.messages.envelope import SUCCEEDED_DOMAIN, SUCCEEDING_DOMAIN
from gridlight.messages.ids import NodeId
from gridlight.messages.operators import SUCCESSIONS_MAX, NodeCertificate, OperatorSuccession

NOW_MS = 1_800_000_000_000
KEYS = [SigningKey.generate() for _ in range(SUCCESSIONS_MAX + 2)]
FIRST, SECOND, THIRD = KEYS[:3]
CHAIN = tuple(succession(old, new, now_ms=NOW_MS) for old, new in pairwise(KEYS))
NODE = NodeId(SigningKey.generate().public)


def certificate(operator: SigningKey, *chain: str) -> NodeCertificate:
    text, _ = split_carried(certify(operator, NODE, now_ms=NOW_MS, successions=chain))
    return check_certificate(text, NODE, now_ms=NOW_MS)


def test_a_certificate_names_the_first_key_and_the_successions_lead_from_there() -> None:
    last = certificate(THIRD, *CHAIN[:2])

    assert last.lineage == FIRST.public
    assert predecessors(last, CHAIN[:2]) == (FIRST.public, SECOND.public)
    assert certificate(FIRST).lineage is UNSET
    assert predecessors(certificate(FIRST), ()) == ()


@pytest.mark.parametrize(
    ("operator", "signed_with", "brought"),
    [
        pytest.param(THIRD, CHAIN[:2], (), id="forgotten"),
        pytest.param(THIRD, CHAIN[:2], CHAIN[1:2], id="the first one forgotten"),
        pytest.param(SECOND, CHAIN[:1], CHAIN[:2], id="of a later key"),
        pytest.param(THIRD, (), CHAIN[:2], id="no lineage named"),
        pytest.param(THIRD, CHAIN[:2], (CHAIN[1], CHAIN[0]), id="in another order"),
        pytest.param(KEYS[-1], CHAIN[:1], CHAIN, id="too many"),
        pytest.param(SECOND, CHAIN[:1], ("junk",), id="junk"),
    ],
)
def test_successions_that_do_not_lead_to_the_certificates_key_are_refused(
    operator: SigningKey, signed_with: tuple[str, ...], brought: tuple[str, ...]
) -> None:
    with pytest.raises(ProtocolViolation):
        predecessors(certificate(operator, *signed_with), brought)


def test_both_keys_have_to_sign_each_with_its_own_tag() -> None:
    said = encode(OperatorSuccession(old_key=FIRST.public, new_key=SECOND.public, serial=NOW_MS))
    old, new = FIRST.sign(SUCCEEDED_DOMAIN, said), SECOND.sign(SUCCEEDING_DOMAIN, said)
    later = encode(OperatorSuccession(old_key=FIRST.public, new_key=SECOND.public, serial=NOW_MS + 1))

    assert [one.new_key for one in check_successions([join_parts(said, old, new)])] == [SECOND.public]
    for parts in (
        (said, new, old),
        (said, old, SECOND.sign(SUCCEEDED_DOMAIN, said)),
        (said, FIRST.sign(SUCCEEDING_DOMAIN, said), new),
        (said, old, b""),
        (said, b"", new),
        (said, old),
        (later, old, new),
    ):
        with pytest.raises(ProtocolViolation):
            check_successions([join_parts(*parts)])


def test_a_rotated_key_is_kept_and_the_new_one_takes_its_place(tmp_path: Path) -> None:
    key = tmp_path / "operator.nk"
    first = SigningKey.load_or_create(key)

    rotation = rotate_key(key, now_ms=NOW_MS)
    again = rotate_key(key, now_ms=NOW_MS + PAUSE_MS)

    assert (rotation.old.public, again.old.public) == (first.public, rotation.new.public)
    assert SigningKey.load_or_create(key).public == again.new.public
    assert [SigningKey.load_or_create(one.kept).public for one in (rotation, again)] == [
        first.public,
        rotation.new.public,
    ]
    chain = check_successions(successions_to(key, again.new.public))
    assert [one.old_key for one in chain] == [first.public, rotation.new.public]
    files = [key, rotation.kept, again.kept, successions_file(key)]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    assert sorted(tmp_path.iterdir()) == sorted(files)


def test_a_key_is_not_rotated_sooner_than_networks_take_it(tmp_path: Path) -> None:
    key = tmp_path / "operator.nk"
    rotate_key(key, now_ms=NOW_MS)
    before = {path: path.read_text() for path in tmp_path.iterdir()}

    with pytest.raises(BadSuccession, match="less than 14 days ago") as refused:
        rotate_key(key, now_ms=NOW_MS + PAUSE_MS - 1)

    assert "until then: 1;" in refused.value.hint
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_an_operator_has_so_many_successions_and_no_more(tmp_path: Path) -> None:
    key = tmp_path / "operator.nk"
    for number in range(SUCCESSIONS_MAX):
        rotate_key(key, now_ms=NOW_MS + number * PAUSE_MS)

    with pytest.raises(BadSuccession, match="may have no more"):
        rotate_key(key, now_ms=NOW_MS + SUCCESSIONS_MAX * PAUSE_MS)


@pytest.mark.parametrize("done", [0, 1, 2], ids=["the new key made", "its succession written", "the old key kept"])
def test_a_rotation_that_is_broken_off_goes_on_with_the_same_new_key(
    done: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "operator.nk"
    first = rotate_key(key, now_ms=NOW_MS).new
    left = iter(range(done))

    def write(path: Path, text: str) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write_secret(path, text)

    def put(_coming: Path, _key: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(successions, "write_secret", write)
        patch.setattr(Path, "replace", put)
        with pytest.raises(KeyboardInterrupt):
            rotate_key(key, now_ms=NOW_MS + PAUSE_MS)
    begun = SigningKey.load_or_create(key.with_name("operator.nk.new")).public
    assert SigningKey.load_or_create(key).public == first.public

    rotation = rotate_key(key, now_ms=NOW_MS + PAUSE_MS + 1)

    assert (rotation.old.public, rotation.new.public) == (first.public, begun)
    assert len(successions_to(key, begun)) == 2
    assert not key.with_name("operator.nk.new").exists()


def test_successions_of_another_key_or_none_are_said_to_be_bad(tmp_path: Path) -> None:
    key = tmp_path / "operator.nk"
    rotate_key(key, now_ms=NOW_MS)
    SigningKey.load_or_create(tmp_path / "other.nk")
    (tmp_path / "other.nk.successions").write_bytes(successions_file(key).read_bytes())

    with pytest.raises(BadSuccession, match="leads to another key"):
        rotate_key(tmp_path / "other.nk", now_ms=NOW_MS + PAUSE_MS)
    for bad in (b"junk", b"\xff"):
        successions_file(key).write_bytes(bad)
        with pytest.raises(BadSuccession, match="successions"):
            rotate_key(key, now_ms=NOW_MS + PAUSE_MS)
        with pytest.raises(BadCertificate, match="cannot be used"):
            brought_certificate(tmp_path, NODE, now_ms=NOW_MS)


def test_a_node_with_its_operators_key_signs_with_the_new_one_from_the_next_time_on(tmp_path: Path) -> None:
    key = tmp_path / "operator.nk"
    first = SigningKey.load_or_create(key).public
    before = brought_certificate(tmp_path, NODE, now_ms=NOW_MS)
    new = rotate_key(key, now_ms=NOW_MS).new.public

    text, chain = split_carried(brought_certificate(tmp_path, NODE, now_ms=NOW_MS))

    said = check_certificate(text, NODE, now_ms=NOW_MS)
    assert check_certificate(before, NODE, now_ms=NOW_MS).operator == first
    assert (said.operator, predecessors(said, chain)) == (new, (first,))


def test_what_is_signed_elsewhere_brings_its_successions_or_does_not_hold(tmp_path: Path) -> None:
    text = certify(SECOND, NODE, now_ms=NOW_MS, successions=CHAIN[:1])
    (tmp_path / "certificate").write_text(text + "\n")

    assert brought_certificate(tmp_path, NODE, now_ms=NOW_MS) == text
    assert len(split_parts(split_carried(text)[1][0], 3)) == 3
    (tmp_path / "certificate").write_text(text.splitlines()[0])
    with pytest.raises(BadCertificate, match="do not lead"):
        brought_certificate(tmp_path, NODE, now_ms=NOW_MS)

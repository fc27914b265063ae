from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from gridlight.adapters.credentials import NetworkKeys
from gridlight.adapters.endorsements import BadEndorsement, EndorsedTier, endorse, endorsed_tier, read_endorsement
from gridlight.adapters.signatures import SigningKey
from gridlight.messages.codec import ProtocolViolation, ViolationReason, encode, enrolments
from gridlight.messages.envelope import ENDORSEMENT_DOMAIN, ENROLMENT_DOMAIN
from gridlight.messages.ids import NodeId
from gridlight.messages.nodes import EnrolNode
from gridlight.messages.trust import NodeEndorsement, Tier

NETWORK = SigningKey.generate()
NODE_ID = NodeId(SigningKey.generate().public)


def reason_of(text: str, node_id: NodeId = NODE_ID, network_key: str = NETWORK.public) -> ViolationReason:
    with pytest.raises(ProtocolViolation) as caught:
        endorsed_tier(text, node_id, network_key)
    return caught.value.reason


def signed(said: bytes, domain: bytes = ENDORSEMENT_DOMAIN, key: SigningKey = NETWORK) -> str:
    parts = (urlsafe_b64encode(part).decode() for part in (said, key.sign(domain, said)))
    return ".".join(parts)


@pytest.mark.parametrize(("said", "tier"), [("trusted", Tier.TRUSTED), ("reference", Tier.REFERENCE)])
def test_what_the_network_says_of_a_node_is_heard(said: EndorsedTier, tier: Tier) -> None:
    assert endorsed_tier(endorse(NETWORK, NODE_ID, said), NODE_ID, NETWORK.public) is tier


def test_an_endorsement_fits_the_message_that_carries_it() -> None:
    enrolment = EnrolNode(
        node_id=NODE_ID,
        operator=NODE_ID,
        nonce="n" * 32,
        agent_version="1",
        cpus=1,
        memory_mib=1,
        endorsement=endorse(NETWORK, NODE_ID, "reference"),
    )

    assert enrolments.decode(encode(enrolment)) == enrolment


def test_a_networks_keys_endorse_under_its_public_key(tmp_path: Path) -> None:
    keys = NetworkKeys.create(tmp_path / "keys")
    text = NetworkKeys.load(keys.folder).endorse(NODE_ID, "trusted")

    assert endorsed_tier(text, NODE_ID, keys.network_public) is Tier.TRUSTED
    assert reason_of(text) is ViolationReason.BAD_SIGNATURE


def test_anothers_endorsement_serves_nobody_else() -> None:
    text = endorse(NETWORK, NODE_ID, "trusted")

    assert reason_of(text, NodeId(SigningKey.generate().public)) is ViolationReason.WRONG_SENDER


def test_nobody_endorses_itself_or_says_more_than_was_signed() -> None:
    said, _, signature = endorse(NETWORK, NODE_ID, "trusted").partition(".")
    more = urlsafe_b64encode(encode(NodeEndorsement(node_id=NODE_ID, tier="reference"))).decode()

    assert reason_of(endorse(SigningKey.generate(), NODE_ID, "trusted")) is ViolationReason.BAD_SIGNATURE
    assert reason_of(f"{more}.{signature}") is ViolationReason.BAD_SIGNATURE
    assert reason_of(f"{said}.") is ViolationReason.BAD_SIGNATURE
    assert reason_of(said) is ViolationReason.MALFORMED


def test_what_the_network_signed_for_something_else_is_no_endorsement() -> None:
    said = encode(NodeEndorsement(node_id=NODE_ID, tier="trusted"))

    assert reason_of(signed(said, ENROLMENT_DOMAIN)) is ViolationReason.BAD_SIGNATURE


@pytest.mark.parametrize("said", [b"", b"{}", b'{"type":"node.endorsement.v1","tier":"banned"}', b"\xff"])
def test_the_network_itself_is_held_to_the_form(said: bytes) -> None:
    assert reason_of(signed(said)) is ViolationReason.MALFORMED


def test_a_tier_that_is_earned_or_suffered_is_never_endorsed() -> None:
    for tier in (Tier.SHADOW, Tier.BANNED):
        said = encode(NodeEndorsement(node_id=NODE_ID, tier="trusted")).replace(b"trusted", tier.encode())
        assert reason_of(signed(said)) is ViolationReason.MALFORMED


@pytest.mark.parametrize("text", ["a", "=", "a.b", "....", "é", "A A.AAAA", "AAAA.A\n"])
def test_what_is_no_base64_is_malformed(text: str) -> None:
    assert reason_of(text) is ViolationReason.MALFORMED


def test_a_text_without_end_is_not_looked_at() -> None:
    assert reason_of("A" * 1_025) is ViolationReason.TOO_LARGE


def test_a_nodes_own_endorsement_is_read_from_its_file(tmp_path: Path) -> None:
    text = endorse(NETWORK, NODE_ID, "trusted")
    (tmp_path / "endorsement").write_text(f"{text}\n")

    assert read_endorsement(tmp_path / "endorsement", NODE_ID) == text


A_SEED = pytest.param(SigningKey.generate().seed.encode(), id="a seed")


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff\xfe", A_SEED, b"e30.e30"])
def test_a_file_that_holds_none_is_not_sent_to_anybody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "endorsement").write_bytes(content)

    with pytest.raises(BadEndorsement, match="endorsement holds no endorsement"):
        read_endorsement(tmp_path / "endorsement", NODE_ID)


def test_a_file_for_another_node_says_for_which(tmp_path: Path) -> None:
    other = NodeId(SigningKey.generate().public)
    (tmp_path / "endorsement").write_text(endorse(NETWORK, other, "trusted"))

    with pytest.raises(BadEndorsement, match=f"endorses {other}, and this node is {NODE_ID}"):
        read_endorsement(tmp_path / "endorsement", NODE_ID)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadEndorsement, match="nothing cannot be read: No such file"):
        read_endorsement(tmp_path / "nothing", NODE_ID)

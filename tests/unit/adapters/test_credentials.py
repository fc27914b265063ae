import base64
import json
from pathlib import Path
from typing import Any

import pytest

from gridlight.adapters.clock import wall_s
from gridlight.adapters.credentials import NetworkKeys, NodeIssuer, encode_jwt, read_creds, user_jwt
from gridlight.adapters.signatures import KeyKind, SigningKey, verify_bare


def claims_of(jwt: str) -> dict[str, Any]:
    padded = jwt.split(".")[1] + "=="
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(padded))
    return claims


@pytest.fixture
def keys(tmp_path: Path) -> NetworkKeys:
    return NetworkKeys.create(tmp_path / "keys")


def test_keys_are_private_and_the_same_when_loaded_again(keys: NetworkKeys) -> None:
    again = NetworkKeys.load(keys.folder)

    assert again.account_public == keys.account_public
    assert again.system_account_public == keys.system_account_public
    assert again.network_public == keys.network_public
    assert keys.folder.stat().st_mode & 0o777 == 0o700
    for path in keys.folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_a_network_created_twice_keeps_its_keys(keys: NetworkKeys) -> None:
    assert NetworkKeys.create(keys.folder).account_public == keys.account_public


def test_a_folder_without_keys_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no network's keys"):
        NetworkKeys.load(tmp_path)


def test_a_jwt_is_signed_by_its_issuer(keys: NetworkKeys) -> None:
    signer = SigningKey.generate(KeyKind.ACCOUNT)

    jwt = encode_jwt(signer, subject="U1", name="x", nats={"type": "user"}, ttl_s=60)

    signed, _, signature = jwt.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    assert verify_bare(signer.public, signed.encode(), raw, KeyKind.ACCOUNT)
    assert claims_of(jwt)["iss"] == signer.public
    assert claims_of(jwt)["exp"] == claims_of(jwt)["iat"] + 60


def test_a_nodes_jwt_carries_no_permissions_and_ends_in_a_day(keys: NetworkKeys) -> None:
    node_id = SigningKey.generate().public

    claims = claims_of(keys.issue_node_jwt(node_id))

    assert claims["sub"] == node_id
    assert claims["nats"] == {"issuer_account": keys.account_public, "type": "user", "version": 2}
    assert abs(claims["exp"] - wall_s() - 24 * 3600) < 10


def test_the_nodes_template_lets_a_node_answer_and_offer_and_nothing_else(keys: NetworkKeys) -> None:
    account = claims_of(keys.account_jwts()[keys.account_public])

    (scope,) = account["nats"]["signing_keys"]

    issued = claims_of(keys.issue_node_jwt(SigningKey.generate().public))
    assert scope["key"] == issued["iss"]
    assert scope["template"]["pub"] == {"allow": ["offer.{{subject()}}"]}
    assert scope["template"]["sub"] == {"allow": ["task.{{subject()}}.>", "task.all.control", "_INBOX_{{subject()}}.>"]}
    assert scope["template"]["resp"] == {"max": 2, "ttl": 900 * 10**9}


def test_an_issuer_knows_the_account_and_only_the_node_signer(keys: NetworkKeys) -> None:
    issuer = NodeIssuer.load(keys.node_issuer_file)
    node_id = SigningKey.generate().public

    assert claims_of(issuer.issue_node_jwt(node_id))["iss"] == claims_of(keys.issue_node_jwt(node_id))["iss"]
    assert keys._account.seed not in keys.node_issuer_file.read_text()
    assert keys._network.seed not in keys.node_issuer_file.read_text()


@pytest.mark.parametrize("text", ["", "one", "one two three", "A B", "A" * 56 + "\n" + "SA" + "A" * 56])
def test_a_broken_issuer_file_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node_issuer.key"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"node_issuer\.key should hold"):
        NodeIssuer.load(path)


@pytest.mark.parametrize("name", ["coordinator", "gateway", "system"])
def test_a_services_file_of_credentials_is_read_back(keys: NetworkKeys, name: str) -> None:
    credentials = read_creds(keys.creds_file(name))

    claims = claims_of(credentials.jwt)
    assert claims["sub"] == credentials.key.public
    assert claims["name"] == name
    assert ">" not in claims["nats"]["pub"]["allow"]


@pytest.mark.parametrize("text", ["", "-----BEGIN NATS USER JWT-----", "-----BEGIN USER NKEY SEED-----\nx\n"])
def test_what_is_no_file_of_credentials_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gateway.creds"
    path.write_text(text)

    with pytest.raises(ValueError, match=r"gateway\.creds is no file of credentials"):
        read_creds(path)


def test_a_user_may_be_signed_by_a_signing_key_of_its_account(keys: NetworkKeys) -> None:
    signer, user = SigningKey.generate(KeyKind.ACCOUNT), SigningKey.generate()

    claims = claims_of(
        user_jwt(signer, user.public, name="x", publish=["a"], subscribe=["b"], issuer_account=keys.account_public)
    )

    assert claims["nats"]["issuer_account"] == keys.account_public
    assert (claims["nats"]["pub"], claims["nats"]["sub"]) == ({"allow": ["a"]}, {"allow": ["b"]})

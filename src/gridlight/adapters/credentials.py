"""Who may do what on the bus: NATS' decentralized JWTs, operator -> account -> user, made without any online service.

A node's JWT carries no permissions; they come from the template of the account's scoped signing key, in which NATS
replaces `{{subject()}}` by the node's own key. So admitting a node touches no configuration of the server, and whoever
holds the node signer can make nodes and nothing else.
"""

from base64 import b32encode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from gridlight.adapters.clock import wall_s
from gridlight.adapters.endorsements import EndorsedTier, endorse
from gridlight.adapters.manifests import countersign, order_stop
from gridlight.adapters.signatures import KeyKind, SigningKey, is_public_key, write_secret
from gridlight.messages import subjects
from gridlight.messages.ids import NodeId, WorkloadId
from gridlight.messages.limits import INLINE_BYTES_MAX, MESSAGE_BYTES_MAX

NODE_REPLIES_MAX: Final = 2
NODE_REPLY_TTL_S: Final = 15 * 60
NODE_JWT_TTL_S: Final = 24 * 3600
NODE_SUBSCRIPTIONS_MAX: Final = 4
NODE_PAYLOAD_BYTES_MAX: Final = INLINE_BYTES_MAX + MESSAGE_BYTES_MAX

SERVICE_PERMISSIONS: Final[dict[str, dict[str, list[str]]]] = {
    "coordinator": {"pub": ["control.>", "task.*.control"], "sub": ["control.>", "offer.*"]},
    "gateway": {"pub": ["control.*.event", "task.>"], "sub": ["_INBOX.>", "control.>"]},
    "payer": {"pub": ["control.*.payer"], "sub": ["control.*.payer.told"]},
    "system": {"pub": ["$SYS.REQ.>"], "sub": ["$SYS.ACCOUNT.>", "_INBOX.>"]},
}
"""Subjects of each service user. `system` lives in the system account, apart from everybody else."""

_HEADER: Final = {"typ": "JWT", "alg": "ed25519-nkey"}
_CREDS: Final = """-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


class NodeCredentials(msgspec.Struct, frozen=True):
    """What a node connects with: the JWT it was given at enrolment, and its own key."""

    jwt: str
    key: SigningKey


class NodeIssuer:
    """Makes nodes' JWTs. A gateway holds this and no other key of the network."""

    def __init__(self, account: str, signer: SigningKey) -> None:
        if not is_public_key(account, KeyKind.ACCOUNT):
            raise ValueError(f"{account[:80]!r} is no account's public key")
        self.account: Final = account
        self._signer: Final = signer

    @classmethod
    def load(cls, path: Path) -> "NodeIssuer":
        """From the file that NetworkKeys wrote: the account's public key, and the signer's seed. ValueError else."""
        try:
            account, seed = path.read_text(encoding="ascii").split()
            return cls(account, SigningKey.from_seed(seed))
        except ValueError as error:
            raise ValueError(f"{path} should hold an account's public key and a signer's seed: {error}") from error

    def issue_node_jwt(self, node_id: str, *, ttl_s: int = NODE_JWT_TTL_S) -> str:
        """A user JWT for this node; its permissions are the template's."""
        assert is_public_key(node_id)
        nats = {"issuer_account": self.account, "type": "user", "version": 2}
        return encode_jwt(self._signer, subject=node_id, name=node_id[:12], nats=nats, ttl_s=ttl_s)


class NetworkKeys:
    """All keys of one network, in a folder that only its owner may enter."""

    def __init__(self, folder: Path, *, reply_ttl_s: int = NODE_REPLY_TTL_S) -> None:
        self.folder: Final = folder
        self._operator = SigningKey.load_or_create(folder / "operator.nk", KeyKind.OPERATOR)
        self._account = SigningKey.load_or_create(folder / "account.nk", KeyKind.ACCOUNT)
        self._system_account = SigningKey.load_or_create(folder / "system_account.nk", KeyKind.ACCOUNT)
        self._node_signer = SigningKey.load_or_create(folder / "node_signer.nk", KeyKind.ACCOUNT)
        self._network = SigningKey.load_or_create(folder / "network.nk")
        self._reply_ttl_s = reply_ttl_s
        self.node_issuer: Final = NodeIssuer(self._account.public, self._node_signer)

    @classmethod
    def create(cls, folder: Path, *, reply_ttl_s: int = NODE_REPLY_TTL_S) -> "NetworkKeys":
        """The keys in this folder, and those that are missing made; also what services need to connect."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        keys = cls(folder, reply_ttl_s=reply_ttl_s)
        for name in SERVICE_PERMISSIONS:
            keys.write_service_creds(name)
        write_secret(keys.node_issuer_file, f"{keys.account_public}\n{keys._node_signer.seed}\n")
        return keys

    @classmethod
    def load(cls, folder: Path) -> "NetworkKeys":
        """The keys in this folder. FileNotFoundError where there are none."""
        if not (folder / "operator.nk").is_file():
            raise FileNotFoundError(f"{folder} holds no network's keys")
        return cls(folder)

    @property
    def account_public(self) -> str:
        """The account of nodes and services."""
        return self._account.public

    @property
    def system_account_public(self) -> str:
        """The server's own account, where it tells who came and went."""
        return self._system_account.public

    @property
    def network_public(self) -> str:
        """What gateways check endorsements with."""
        return self._network.public

    @property
    def node_issuer_file(self) -> Path:
        """What a gateway's configuration names as its node signer's key."""
        return self.folder / "node_issuer.key"

    def creds_file(self, name: str) -> Path:
        """Where a service's credentials are."""
        assert name in SERVICE_PERMISSIONS
        return self.folder / f"{name}.creds"

    def issue_node_jwt(self, node_id: str, *, ttl_s: int = NODE_JWT_TTL_S) -> str:
        """See NodeIssuer."""
        return self.node_issuer.issue_node_jwt(node_id, ttl_s=ttl_s)

    def endorse(self, node_id: NodeId, tier: EndorsedTier) -> str:
        """The network's word on a node. No service holds the key, so a gateway can make nodes, and none trusted."""
        assert is_public_key(node_id)
        return endorse(self._network, node_id, tier)

    def countersign(self, workload: WorkloadId, *, percent: int, serial: int, expires_ms: int) -> str:
        """The network's word that so many per cent of its nodes may run a workload. No service holds the key."""
        return countersign(self._network, workload, percent=percent, serial=serial, expires_ms=expires_ms)

    def order_stop(self, workload: WorkloadId, *, serial: int) -> str:
        """The network's order that nobody runs a workload any more."""
        return order_stop(self._network, workload, serial=serial)

    def write_service_creds(self, name: str) -> Path:
        """A `.creds` file of a service named in SERVICE_PERMISSIONS, with a new key and no expiry; its path."""
        allowed = SERVICE_PERMISSIONS[name]
        account = self._system_account if name == "system" else self._account
        key = SigningKey.generate()
        jwt = user_jwt(
            account,
            key.public,
            name=name,
            publish=allowed["pub"],
            subscribe=allowed["sub"],
            connection_types=["STANDARD"],  # WebSocket is where strangers come in
        )
        path = self.creds_file(name)
        write_secret(path, _CREDS.format(jwt=jwt, seed=key.seed))
        return path

    def privileged_credentials(self, name: str) -> NodeCredentials:
        """A user of the account who may do everything, made on the spot: for administrators and for tests."""
        key = SigningKey.generate()
        jwt = user_jwt(self._account, key.public, name=name, publish=[">"], subscribe=[">"])
        return NodeCredentials(jwt=jwt, key=key)

    def operator_jwt(self) -> str:
        """The root of trust, for the server's configuration."""
        nats = {"type": "operator", "version": 2, "system_account": self.system_account_public}
        return encode_jwt(self._operator, subject=self._operator.public, name="gridlight", nats=nats)

    def account_jwts(self) -> dict[str, str]:
        """Public key to JWT of each account, for the server's memory resolver."""
        return {
            self.account_public: self._account_jwt(self._account, "nodes", [self._node_scope()]),
            self.system_account_public: self._account_jwt(self._system_account, "system", []),
        }

    def _account_jwt(self, account: SigningKey, name: str, signing_keys: list[dict[str, Any]]) -> str:
        unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn"), -1)
        nats = {
            "limits": {**unlimited, "leaf": 0, "wildcards": True},
            "signing_keys": signing_keys,
            "default_permissions": {"pub": {}, "sub": {}},
            "type": "account",
            "version": 2,
        }
        return encode_jwt(self._operator, subject=account.public, name=name, nats=nats)

    def _node_scope(self) -> dict[str, Any]:
        template = {
            "pub": {"allow": ["offer.{{subject()}}"]},
            "sub": {"allow": ["task.{{subject()}}.>", subjects.EVERY_NODE, "_INBOX_{{subject()}}.>"]},
            "resp": {"max": NODE_REPLIES_MAX, "ttl": self._reply_ttl_s * 1_000_000_000},
            "subs": NODE_SUBSCRIPTIONS_MAX,
            "data": -1,
            "payload": NODE_PAYLOAD_BYTES_MAX,
            "allowed_connection_types": ["STANDARD", "WEBSOCKET"],
        }
        return {"kind": "user_scope", "key": self._node_signer.public, "role": "node", "template": template}


def user_jwt(
    signer: SigningKey,
    user: str,
    *,
    name: str,
    publish: list[str],
    subscribe: list[str],
    issuer_account: str | None = None,
    connection_types: list[str] | None = None,
    ttl_s: int | None = None,
) -> str:
    """A user JWT that carries its own permissions, as services have. `issuer_account` where a signing key signs."""
    nats: dict[str, Any] = {
        "pub": {"allow": publish},
        "sub": {"allow": subscribe},
        **dict.fromkeys(("subs", "data", "payload"), -1),
        "type": "user",
        "version": 2,
    }
    if issuer_account is not None:
        nats["issuer_account"] = issuer_account
    if connection_types is not None:
        nats["allowed_connection_types"] = connection_types
    return encode_jwt(signer, subject=user, name=name, nats=nats, ttl_s=ttl_s)


def encode_jwt(signer: SigningKey, *, subject: str, name: str, nats: dict[str, Any], ttl_s: int | None = None) -> str:
    """One JWT as nats-server reads it (claims version 2). A `ttl_s` of None never expires."""
    now_s = wall_s()
    claims: dict[str, Any] = {"iat": now_s, "iss": signer.public, "name": name, "sub": subject, "nats": nats}
    if ttl_s is not None:
        claims["exp"] = now_s + ttl_s
    claims["jti"] = b32encode(sha256(msgspec.json.encode(claims)).digest()).rstrip(b"=").decode()
    signed = b".".join(_base64(msgspec.json.encode(part)) for part in (_HEADER, claims))
    return b".".join((signed, _base64(signer.sign_bare(signed)))).decode()


def read_creds(path: Path) -> NodeCredentials:
    """A service's `.creds` file. ValueError where it is none."""
    lines = path.read_text(encoding="ascii").splitlines()
    try:
        jwt = lines[lines.index("-----BEGIN NATS USER JWT-----") + 1]
        seed = lines[lines.index("-----BEGIN USER NKEY SEED-----") + 1]
        return NodeCredentials(jwt=jwt, key=SigningKey.from_seed(seed))
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} is no file of credentials: {error}") from error


def _base64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")

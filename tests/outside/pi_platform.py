"""Pi's platform for one app: payments that are announced, one at a time, and completed or cancelled."""

import json
from dataclasses import dataclass, field

from tests.outside.horizon import Answer


@dataclass
class Platform:
    """What the server answers. `addresses` says where each user is paid."""

    addresses: dict[str, str]
    payments: dict[str, dict[str, object]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    """By identifier: the hash that completed it, or nothing where it was cancelled."""

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """To one call."""
        path = target.strip("/").split("/")
        listed = [one for name, one in self.payments.items() if name not in self.ended]
        match method, path[1:]:
            case "GET", ["payments", "incomplete_server_payments"]:
                return 200, {"incomplete_server_payments": listed}
            case "POST", ["payments"]:
                return (400, {"error": "ongoing_payment_found"}) if listed else self._announce(json.loads(body))
            case "POST", ["payments", identifier, "complete"]:
                return self._end(identifier, str(json.loads(body)["txid"]))
            case "POST", ["payments", identifier, "cancel"]:
                return self._end(identifier, "")
        return 404, {"error": "not_found"}

    def _announce(self, asked: dict[str, dict[str, object]]) -> Answer:
        uid = str(asked["payment"]["uid"])
        if uid not in self.addresses:
            return 404, {"error": "user_not_found"}
        identifier = f"payment-{len(self.payments):020d}"
        self.payments[identifier] = {
            "identifier": identifier,
            "user_uid": uid,
            "to_address": self.addresses[uid],
            "amount": asked["payment"]["amount"],
        }
        return 200, self.payments[identifier]

    def _end(self, identifier: str, digest: str) -> Answer:
        if identifier not in self.payments or identifier in self.ended:
            return 400, {"error": "already_ended"}
        self.ended[identifier] = digest
        return 200, self.payments[identifier]

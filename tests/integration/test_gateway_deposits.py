"""Where an account is paid in to, as a gateway tells it."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from stellar_sdk import MuxedAccount
from tests.integration import gateway_stand
from tests.integration.conftest import Connections, Server
from tests.integration.gateway_stand import gateway_config, standing
from tests.integration.test_gateway_accounts import ADMIN, account, code, key_of
from tests.outside.paying import PASSPHRASE, key

from gridlight.messages.accounts import deposit_number
from gridlight.messages.ids import AccountId
from gridlight.services.gateway.config import DepositsConfig

OURS = key("payer").public_key


async def test_each_account_has_an_address_of_its_own_that_its_keys_and_administrators_see(
    server: Server, connections: Connections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deposits = DepositsConfig(account=OURS, passphrase=PASSPHRASE)
    monkeypatch.setattr(
        gateway_stand, "gateway_config", lambda *told: replace(gateway_config(*told), deposits=deposits)
    )
    async with standing(server, connections, tmp_path) as stand:
        own, other = await account(stand), await account(stand)
        headers = {"X-Api-Key": await key_of(stand, own)}
        told = await stand.http.get(f"/v1/accounts/{own}/deposit", headers=headers)
        told_admin = await stand.http.get(f"/v1/accounts/{own}/deposit", headers=ADMIN)
        refused = await stand.http.get(f"/v1/accounts/{other}/deposit", headers=headers)
        others = (await stand.http.get(f"/v1/accounts/{other}/deposit", headers=ADMIN)).json()

    said = told.json()
    muxed = MuxedAccount.from_account(said["address"])
    assert told.status_code == 200
    assert told_admin.json() == said
    assert (muxed.account_id, muxed.account_muxed_id) == (OURS, deposit_number(AccountId(own)))
    assert (said["network"], said["asset"], said["number"]) == (PASSPHRASE, "native", str(muxed.account_muxed_id))
    assert "bare account" in said["note"]
    assert others["address"] != said["address"]
    assert code(refused) == (404, "UNKNOWN_ACCOUNT")


async def test_a_network_that_takes_no_payments_says_so(
    server: Server, connections: Connections, tmp_path: Path
) -> None:
    async with standing(server, connections, tmp_path) as stand:
        refused = await stand.http.get(f"/v1/accounts/{await account(stand)}/deposit", headers=ADMIN)
    assert code(refused) == (404, "NO_DEPOSITS")
    assert "[deposits]" in refused.json()["error"]["hint"]

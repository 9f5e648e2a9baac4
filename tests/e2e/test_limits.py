"""How often the API may be called, as the settings say it."""

import asyncio
from pathlib import Path

import pytest

from monitord_client import Client, MonitordError, ResourceExhaustedError, UnauthenticatedError
from tests.support.process import monitord

BURST = 4
"""As many at once as a second's worth four times over."""


async def test_the_settings_of_rates_are_those_of_credentials_and_of_strangers(
    database_url: str, tmp_path: Path
) -> None:
    settings = {
        "MONITORD_DATABASE_URL": database_url,
        "MONITORD_RPC_RATE": "1",
        "MONITORD_RPC_RATE_UNPROVEN": "0.01",  # one at once
    }
    async with monitord(tmp_path, settings=settings) as process:
        async with process.client(retries=0) as client:
            told = await asyncio.gather(*(call(client) for _ in range(3 * BURST)))
            refused = [error for error in told if error is not None]
            assert len(refused) >= 3 * BURST - BURST - 2, "one more comes for each second that passes meanwhile"
            assert all(isinstance(error, ResourceExhaustedError) for error in refused)
            assert "with this credential: 1 a second" in refused[0].message
            assert 0 < (refused[0].retry_after_s or 0) <= 1
        async with Client(process.address, api_key="mk_x_y", retries=0) as stranger:
            with pytest.raises(UnauthenticatedError):
                await stranger.get_user()
            with pytest.raises(ResourceExhaustedError, match=r"from your network: 0\.01 a second"):
                await stranger.get_user()


async def call(client: Client) -> MonitordError | None:
    try:
        await client.get_user()
    except MonitordError as error:
        return error
    return None

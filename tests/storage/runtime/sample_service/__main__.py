"""The sample service as a program: a server without servicers, whose health asks the storage."""

import sys

from pydantic_settings import SettingsConfigDict

from nuncio_runtime.config import DatabaseSettings, ServiceSettings
from nuncio_runtime.main import run_service
from nuncio_runtime.postgres import is_reachable, open_pool
from nuncio_runtime.serve import serve


class Settings(ServiceSettings):
    """What the sample service can be told."""

    model_config = SettingsConfigDict(env_prefix="NUNCIO_SAMPLE_")

    database: DatabaseSettings = DatabaseSettings(schema="sample")


async def run(settings: Settings) -> None:
    async with open_pool(settings.database) as pool:
        await serve(settings.server, [], checks={"storage": lambda: is_reachable(pool)})


sys.exit(
    run_service(
        sys.argv[1:],
        name="nuncio-sample",
        settings_type=Settings,
        package="tests.storage.runtime.sample_service",
        run=run,
    )
)

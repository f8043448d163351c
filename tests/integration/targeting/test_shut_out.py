"""Targeting at a registry that asks for a certificate which targeting has not got."""

from pathlib import Path

import pytest

from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio.targeting.v1 import targeting_service_pb2_grpc as rpc
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.errors import Kind
from tests.support.certificates import Authority
from tests.support.postgres import fresh_database
from tests.support.services import running_service, service_process

pytestmark = pytest.mark.timeout(60)


async def test_callers_are_told_that_it_passes_and_the_log_says_why(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = authority.issue("registry")
    async with (
        fresh_database("nuncio_registry", "registry") as registry_database,
        fresh_database("nuncio_targeting", "targeting") as database,
        running_service(
            "registry",
            database=registry_database,
            KEYS__FOLDER=str(tmp_path),
            KEYS__CREATE="true",
            SERVER__TLS_CERTIFICATE_FILE=str(tls.certificate_file),
            SERVER__TLS_KEY_FILE=str(tls.key_file),
            SERVER__TLS_CLIENT_CA_FILE=str(authority.file),
        ) as registry,
        service_process(
            "targeting",
            database=database,
            REGISTRY__TARGET=registry,
            REGISTRY__CA_FILE=str(authority.file),
        ) as targeting,
        connect(targeting.target) as channel,
    ):
        stub: rpc.TargetingServiceAsyncStub = rpc.TargetingServiceStub(channel)
        for _ in range(2):
            with pytest.raises(RemoteError) as refused:
                await stub.ValidateAudience(
                    pb.ValidateAudienceRequest(app_id="shop", expression="all()")
                )
            error = refused.value
            assert (error.kind, error.reason) == (Kind.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
            assert error.retry_after is not None
        (told,) = await targeting.logged("service_unreachable")
        assert told["target"] == registry
        assert "ask for a client certificate, and none is set" in told["problem"]
        assert "BEGIN" not in "".join(targeting.log)

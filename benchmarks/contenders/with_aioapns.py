"""aioapns: its public client, pointed at the local server."""

import ssl
from collections import deque
from collections.abc import Sequence

import uvloop
from aioapns import APNs, NotificationRequest, PushType
from aioapns.common import NotificationResult
from aioapns.connection import APNsTLSClientProtocol

from benchmarks.contenders.job import (
    KEY_ID,
    TEAM_ID,
    TOPIC,
    Job,
    job_of_this_process,
    measure,
    send_some_at_a_time,
)


class LocalProtocol(APNsTLSClientProtocol):
    """aioapns knows requests by the apns-id in their answer, which a server of files leaves out.

    All answers here are alike, so each is given to the oldest request. Their empty DATA frame,
    which aioapns would read as JSON, is kept from it.
    """

    APNS_SERVER = "localhost"
    # Else its idle timer, at 10 s, could end a long run.
    INACTIVITY_TIME = 600

    async def send_notification(self, request: NotificationRequest) -> NotificationResult:
        self.__dict__.setdefault("asked", deque()).append(request.notification_id)
        return await super().send_notification(request)

    def on_response_received(self, headers: dict[bytes, bytes]) -> None:
        headers[b"apns-id"] = self.__dict__["asked"].popleft().encode()
        super().on_response_received(headers)

    def on_data_received(self, raw_data: bytes, stream_id: int) -> None:
        if raw_data:
            super().on_data_received(raw_data, stream_id)


def client_for(job: Job) -> APNs:
    """As a user makes it, with a token, but for the server's address."""
    tls = ssl.create_default_context(cafile=str(job.trust))
    tls.set_alpn_protocols(["h2"])  # aioapns does not, and Apple does not mind
    client = APNs(
        key=job.token_key.read_text(),
        key_id=KEY_ID,
        team_id=TEAM_ID,
        topic=TOPIC,
        max_connections=1,
        ssl_context=tls,
    )
    client.pool.protocol_class = type("Protocol", (LocalProtocol,), {"APNS_PORT": job.port})
    return client


async def main() -> None:
    """Do the job."""
    job = job_of_this_process()
    client, message = client_for(job), job.message()

    async def one(token: str, request_id: str) -> bool:
        request = NotificationRequest(
            device_token=token,
            message=message,
            notification_id=request_id,
            time_to_live=3_600,
            priority=10,
            push_type=PushType.ALERT,
        )
        return bool((await client.send_notification(request)).is_successful)

    async def send(everyone: Sequence[tuple[str, str]]) -> int:
        return await send_some_at_a_time(everyone, one, in_flight=job.in_flight)

    await measure(job, send)
    client.pool.close()


if __name__ == "__main__":
    uvloop.run(main())

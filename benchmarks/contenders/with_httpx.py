"""httpx over HTTP/2, as one would use it without a library for APNs."""

import ssl
from collections.abc import Sequence

import httpx
import uvloop

from benchmarks.contenders.job import TOPIC, job_of_this_process, measure, send_some_at_a_time


async def main() -> None:
    """Do the job."""
    job = job_of_this_process()
    body, origin = job.body(), f"https://localhost:{job.port}"
    fields = {
        "authorization": job.bearer(),
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": "1700000000",
    }
    tls = ssl.create_default_context(cafile=str(job.trust))
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(
        http1=False,
        http2=True,
        verify=tls,
        trust_env=False,
        base_url=origin,
        headers=fields,
        limits=limits,
        timeout=20,
    ) as client:

        async def one(token: str, request_id: str) -> bool:
            answer = await client.post(
                f"/3/device/{token}", content=body, headers={"apns-id": request_id}
            )
            return answer.is_success

        async def send(everyone: Sequence[tuple[str, str]]) -> int:
            return await send_some_at_a_time(everyone, one, in_flight=job.in_flight)

        await measure(job, send)


if __name__ == "__main__":
    uvloop.run(main())

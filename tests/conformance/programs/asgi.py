"""An ASGI application for hypercorn. GET /books/<beginning of ids> tells what came."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

RECEIVED: dict[str, list[str]] = defaultdict(list)


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Do what the path says: /<action>/<argument>/<id>."""
    if scope["type"] != "http":
        return
    digest, goes_on = hashlib.sha256(), True
    while goes_on:
        message = await receive()
        digest.update(message.get("body", b""))
        goes_on = message.get("more_body", False)
    _, action, argument, *_ = scope["path"].split("/")
    asked = {name.decode(): value.decode() for name, value in scope["headers"]}
    if action == "books":
        received = {name: found for name, found in RECEIVED.items() if name.startswith(argument)}
        await respond(send, 200, json.dumps({"received": received, "faults": []}).encode())
        return
    RECEIVED[asked["apns-id"]].append(digest.hexdigest())
    match action:
        case "fields":
            own = {name: value for name, value in asked.items() if name.startswith("x-")}
            many = [(b"x-%d" % n, b"v" * n) for n in range(1, 81)]
            await respond(send, 400, json.dumps(own).encode(), many)
        case "status":
            await respond(send, int(argument), f'{{"reason":"R{argument}"}}'.encode())
        case "answer" | "failure":
            await respond(send, 200 if action == "answer" else 500, b"a" * int(argument))
        case _:
            await respond(send, 200)


async def respond(
    send: Send, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """One whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": headers or []})
    await send({"type": "http.response.body", "body": body})

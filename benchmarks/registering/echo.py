"""The least that a server in Python does: it reads the message and sends it back.

A process of its own: `python -m benchmarks.registering.echo PORT`.
"""

import asyncio
import sys
from typing import Any

import grpc
import uvloop

from nuncio.registry.v1.registry_service_pb2 import RegisterTokenRequest


async def _answer(
    request: RegisterTokenRequest, _context: "grpc.aio.ServicerContext[Any, Any]"
) -> RegisterTokenRequest:
    return request


async def _serve(port: int) -> None:
    handler = grpc.unary_unary_rpc_method_handler(
        _answer, RegisterTokenRequest.FromString, RegisterTokenRequest.SerializeToString
    )
    server = grpc.aio.server()
    service = "nuncio.registry.v1.RegistryService"
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"RegisterToken": handler}),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))

"""A service with one method of each form, made here so that the runtime's tests need no other."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from buf.validate import validate_pb2
from nuncio_runtime.serve import Mount

PACKAGE = "tests.echo.v1"
SERVICE = f"{PACKAGE}.EchoService"

_FORMS = {
    "Say": (False, False),
    "Repeat": (False, True),
    "Join": (True, False),
    "Chat": (True, True),
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="tests/echo/v1/echo.proto",
        package=PACKAGE,
        syntax="proto3",
        dependency=["buf/validate/validate.proto"],
    )
    message = file.message_type.add(name="Words")
    kinds = descriptor_pb2.FieldDescriptorProto
    text = message.field.add(name="text", number=1, type=kinds.TYPE_STRING)
    text.options.Extensions[validate_pb2.field].string.max_len = 20
    tags = message.field.add(
        name="tags", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_REPEATED
    )
    tags.options.Extensions[validate_pb2.field].repeated.items.string.max_len = 3
    inner = message.field.add(name="inner", number=3, type=kinds.TYPE_MESSAGE)
    inner.type_name = f".{PACKAGE}.Words"
    service = file.service.add(name="EchoService")
    for name, (requests, responses) in _FORMS.items():
        service.method.add(
            name=name,
            input_type=f".{PACKAGE}.Words",
            output_type=f".{PACKAGE}.Words",
            client_streaming=requests,
            server_streaming=responses,
        )
    return file


descriptor_pool.Default().AddSerializedFile(_file().SerializeToString())
_DESCRIPTOR = descriptor_pool.Default().FindServiceByName(SERVICE)
Words: Any = message_factory.GetMessageClass(
    descriptor_pool.Default().FindMessageTypeByName(f"{PACKAGE}.Words")
)


class Echo:
    """Answers with what it was told. Tests subclass it to misbehave."""

    async def say(self, request: Any, _context: Any) -> Any:
        return request

    async def repeat(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        for tag in request.tags:
            yield Words(text=tag)

    async def join(self, requests: AsyncIterator[Any], _context: Any) -> Any:
        return Words(text="".join([request.text async for request in requests]))

    async def chat(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield request


def _add(servicer: Any, server: grpc.aio.Server) -> None:
    """What a generated `add_EchoServiceServicer_to_server` does."""
    makers = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    handlers: dict[str, Any] = {
        name: makers[form](
            getattr(servicer, name.lower()),
            request_deserializer=Words.FromString,
            response_serializer=Words.SerializeToString,
        )
        for name, form in _FORMS.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_registered_method_handlers(SERVICE, handlers)


def mount(servicer: Echo, *, self_checked: frozenset[str] = frozenset()) -> Mount:
    """The servicer as `serve` takes it."""
    return Mount(_add, servicer, _DESCRIPTOR, self_checked)


class EchoStub:
    """What a generated stub is."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        for name, (requests, responses) in _FORMS.items():
            form = f"{'stream' if requests else 'unary'}_{'stream' if responses else 'unary'}"
            call = getattr(channel, form)(
                f"/{SERVICE}/{name}",
                request_serializer=Words.SerializeToString,
                response_deserializer=Words.FromString,
                _registered_method=True,
            )
            setattr(self, name, call)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

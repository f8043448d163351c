"""The generated stubs, as a backend without asyncio uses them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc_testing
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from nuncio.dispatcher.v1 import dispatcher_service_pb2, dispatcher_service_pb2_grpc
from nuncio.feedback.v1 import feedback_service_pb2, feedback_service_pb2_grpc
from nuncio.registry.v1 import registry_service_pb2, registry_service_pb2_grpc
from nuncio.targeting.v1 import targeting_service_pb2, targeting_service_pb2_grpc

STUBS: dict[str, tuple[Any, Any]] = {
    "DispatcherService": (dispatcher_service_pb2, dispatcher_service_pb2_grpc),
    "FeedbackService": (feedback_service_pb2, feedback_service_pb2_grpc),
    "RegistryService": (registry_service_pb2, registry_service_pb2_grpc),
    "TargetingService": (targeting_service_pb2, targeting_service_pb2_grpc),
}


def service(name: str) -> ServiceDescriptor:
    found: ServiceDescriptor = STUBS[name][0].DESCRIPTOR.services_by_name[name]
    return found


def unary_methods() -> Iterator[MethodDescriptor]:
    for name in STUBS:
        for method in service(name).methods:
            if not method.client_streaming and not method.server_streaming:
                yield method


@pytest.mark.parametrize("method", list(unary_methods()), ids=lambda method: method.full_name)
def test_a_call_arrives_under_its_name_and_brings_its_answer_back(
    method: MethodDescriptor,
) -> None:
    owner = method.containing_service
    channel = grpc_testing.channel([owner], grpc_testing.strict_real_time())
    stub = getattr(STUBS[owner.name][1], f"{owner.name}Stub")(channel)
    request = message_factory.GetMessageClass(method.input_type)()
    response = message_factory.GetMessageClass(method.output_type)()
    with ThreadPoolExecutor() as caller:
        call = caller.submit(getattr(stub, method.name), request)
        _, arrived, rpc = channel.take_unary_unary(method)
        rpc.terminate(response, (), grpc.StatusCode.OK, "")
        assert call.result(timeout=5) == response
    assert arrived == request


@pytest.mark.parametrize("name", STUBS)
def test_a_stub_has_every_method_of_its_contract(name: str) -> None:
    stub = getattr(STUBS[name][1], f"{name}Stub")(grpc.insecure_channel("localhost:1"))
    assert set(vars(stub)) == {method.name for method in service(name).methods}

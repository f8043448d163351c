"""The stubs on asyncio channels: types of their own for the checker, the same classes to run."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nuncio.dispatcher.v1.dispatcher_service_pb2_grpc import (
        DispatcherServiceAsyncStub as DispatcherStub,
    )
    from nuncio.feedback.v1.feedback_service_pb2_grpc import (
        FeedbackServiceAsyncStub as FeedbackStub,
    )
    from nuncio.registry.v1.registry_service_pb2_grpc import (
        RegistryServiceAsyncStub as RegistryStub,
    )
    from nuncio.targeting.v1.targeting_service_pb2_grpc import (
        TargetingServiceAsyncStub as TargetingStub,
    )
else:
    from nuncio.dispatcher.v1.dispatcher_service_pb2_grpc import (
        DispatcherServiceStub as DispatcherStub,
    )
    from nuncio.feedback.v1.feedback_service_pb2_grpc import FeedbackServiceStub as FeedbackStub
    from nuncio.registry.v1.registry_service_pb2_grpc import RegistryServiceStub as RegistryStub
    from nuncio.targeting.v1.targeting_service_pb2_grpc import TargetingServiceStub as TargetingStub

__all__ = ["DispatcherStub", "FeedbackStub", "RegistryStub", "TargetingStub"]

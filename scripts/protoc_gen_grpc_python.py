"""A protoc plugin around the gRPC generator that grpcio-tools carries inside its own protoc.

buf speaks to plugins (CodeGeneratorRequest on stdin, CodeGeneratorResponse on stdout), while
grpcio-tools has no plugin binary. Called by `buf generate`, see buf.gen.yaml.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import FileDescriptorSet


def generate(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """Generate `*_pb2_grpc.py` for the files of the request that define a service."""
    response = CodeGeneratorResponse(
        supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    with_service = {file.name for file in request.proto_file if file.service}
    wanted = [name for name in request.file_to_generate if name in with_service]
    if not wanted:
        return response
    with TemporaryDirectory() as folder:
        descriptors = Path(folder, "descriptors.binpb")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        options = [f"--descriptor_set_in={descriptors}", f"--grpc_python_out={folder}"]
        protoc = [sys.executable, "-m", "grpc_tools.protoc"]
        subprocess.run([*protoc, *options, *wanted], check=True, stdout=sys.stderr)
        for path in sorted(Path(folder).rglob("*_pb2_grpc.py")):
            name = path.relative_to(folder).as_posix()
            response.file.add(name=name, content=path.read_text())
    return response


if __name__ == "__main__":
    asked = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(asked).SerializeToString())

"""Print buf/validate/validate.proto from the descriptor inside the installed protovalidate wheel.

The validator and the schema it reads must be of one version, and the wheel carries the schema only
as a descriptor. Run by `make vendor-protos` after protovalidate was upgraded.
"""

from collections.abc import Iterator

from google.protobuf import descriptor_pb2
from protovalidate._gen.buf.validate import validate_pb

Field = descriptor_pb2.FieldDescriptorProto

HEADER = """\
// Schema of the annotations that protovalidate reads. Copyright Buf Technologies, Inc.; Apache-2.0.
// Printed from the descriptor in the protovalidate wheel by scripts/vendor_validate_proto.py.
// See NOTICE. Documentation of every rule: https://protovalidate.com/reference/rules/
"""


def main() -> None:
    file = descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary())
    print(HEADER)
    print(f'syntax = "proto2";\n\npackage {file.package};\n')
    for name in file.dependency:
        print(f'import "{name}";')
    for extension in file.extension:
        print(f"\nextend {extension.extendee} {{\n  {field_line(extension)}\n}}")
    for message in file.message_type:
        print("\n" + "\n".join(message_lines(message)))
    for enum in file.enum_type:
        print("\n" + "\n".join(enum_lines(enum)))


def message_lines(message: descriptor_pb2.DescriptorProto, indent: str = "") -> Iterator[str]:
    yield f"{indent}message {message.name} {{"
    inner = indent + "  "
    for enum in message.enum_type:
        yield from enum_lines(enum, inner)
    for nested in message.nested_type:
        yield from message_lines(nested, inner)
    for field in message.field:
        if not field.HasField("oneof_index"):
            yield inner + field_line(field)
    for index, oneof in enumerate(message.oneof_decl):
        yield f"{inner}oneof {oneof.name} {{"
        members = [f for f in message.field if f.HasField("oneof_index")]
        yield from (
            f"{inner}  {field_line(f, label='')}" for f in members if f.oneof_index == index
        )
        yield inner + "}"
    for extensions in message.extension_range:
        last = "max" if extensions.end > 1 << 28 else str(extensions.end - 1)
        yield f"{inner}extensions {extensions.start} to {last};"
    yield from reserved_lines(message, inner)
    yield indent + "}"


def reserved_lines(message: descriptor_pb2.DescriptorProto, indent: str) -> Iterator[str]:
    for reserved in message.reserved_range:
        yield f"{indent}reserved {reserved.start} to {reserved.end - 1};"
    for name in message.reserved_name:
        yield f'{indent}reserved "{name}";'


def enum_lines(enum: descriptor_pb2.EnumDescriptorProto, indent: str = "") -> Iterator[str]:
    yield f"{indent}enum {enum.name} {{"
    yield from (f"{indent}  {value.name} = {value.number};" for value in enum.value)
    yield indent + "}"


def field_line(field: descriptor_pb2.FieldDescriptorProto, *, label: str | None = None) -> str:
    if label is None:
        label = "repeated " if field.label == Field.LABEL_REPEATED else "optional "
    kind = field.type_name or Field.Type.Name(field.type).removeprefix("TYPE_").lower()
    options = f" [default = {field.default_value}]" if field.default_value else ""
    if field.options.packed:
        options = " [packed = true]"
    return f"{label}{kind} {field.name} = {field.number}{options};"


if __name__ == "__main__":
    main()

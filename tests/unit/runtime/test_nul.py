"""Texts with U+0000 are found wherever they are in a message."""

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.wrappers_pb2 import BytesValue, DoubleValue, StringValue

from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.interceptors.validation import check, violations

NUL = Value(string_value="a\0b")


@pytest.mark.parametrize(
    ("message", "paths"),
    [
        (StringValue(value="\0"), ["value"]),
        (
            FileDescriptorProto(dependency=["a", "\0", "b", "c\0"]),
            ["dependency[1]", "dependency[3]"],
        ),
        (
            FileDescriptorProto(
                package="a\0",
                message_type=[
                    DescriptorProto(),
                    DescriptorProto(nested_type=[DescriptorProto(name="\0")]),
                ],
            ),
            ["package", "message_type[1].nested_type[0].name"],
        ),
        (Struct(fields={"a": Value(), "b": NUL}), ['fields["b"].string_value']),
        (Struct(fields={"a\0": Value()}), ["fields"]),
        (
            Value(list_value=ListValue(values=[Value(), NUL])),
            ["list_value.values[1].string_value"],
        ),
    ],
)
def test_every_text_with_nul_is_named_by_its_path(message: Message, paths: list[str]) -> None:
    broken = [FieldViolation(path, "must not contain U+0000") for path in paths]
    assert violations(message) == broken
    with pytest.raises(InvalidField) as refused:
        check(message)
    assert list(refused.value.violations) == broken


@pytest.mark.parametrize(
    "message",
    [
        StringValue(value="0 \\0 \\000 \x01"),
        BytesValue(value=b"\0"),
        DoubleValue(value=1.0),
        ListValue(values=[Value(number_value=1.0), Value(string_value="one")]),
    ],
)
def test_zero_bytes_outside_of_texts_are_fine(message: Message) -> None:
    assert violations(message) == []

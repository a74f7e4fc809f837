"""Reads a TensorBoard event file with nothing of Kasmina's: python3 read-events.fixture.py <file>.

Written from the TFRecord format (tensorflow.org/tutorials/load_data/tfrecord) and the field numbers of TensorBoard's event.proto,
summary.proto and tensor.proto. Prints one JSON object an event; ends with an error for a checksum or a length that is wrong.
"""

import json
import math
import struct
import sys


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


# Of a file that TensorFlow wrote: tensorboard/data/server/masked_crc.rs.
assert masked(b"\x1a\x11CRC test, one two") == 0x5794D08A


def records(data: bytes):
    at = 0
    while at < len(data):
        length, length_crc = struct.unpack_from("<QI", data, at)
        assert masked(data[at : at + 8]) == length_crc, f"length at byte {at}"
        record = data[at + 12 : at + 12 + length]
        assert len(record) == length, f"a torn record at byte {at}"
        (record_crc,) = struct.unpack_from("<I", data, at + 12 + length)
        assert masked(record) == record_crc, f"record at byte {at}"
        yield record
        at += 16 + length


def varint(data: bytes, at: int):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data: bytes):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            (value,) = struct.unpack_from("<d", data, at)
            at += 8
        elif wire == 5:
            (value,) = struct.unpack_from("<f", data, at)
            at += 4
        else:
            assert wire == 2, f"wire type {wire}"
            length, at = varint(data, at)
            value = data[at : at + length]
            assert len(value) == length, "a field that is longer than its message"
            at += length
        yield number, value


def message(data: bytes, names: dict) -> dict:
    return {names[number]: value for number, value in fields(data)}


def summary_value(data: bytes) -> dict:
    value = message(data, {1: "tag", 2: "simple_value", 8: "tensor", 9: "metadata"})
    value["tag"] = value["tag"].decode()
    if "tensor" in value:
        tensor = message(value.pop("tensor"), {1: "dtype", 2: "shape", 8: "string_val"})
        assert tensor["dtype"] == 7 and tensor["shape"] == b"", "a string without dimensions"
        value["text"] = tensor["string_val"].decode()
    if "simple_value" in value and not math.isfinite(value["simple_value"]):
        value["simple_value"] = str(value["simple_value"])
    if "metadata" in value:
        (plugin,) = [content for number, content in fields(value.pop("metadata")) if number == 1]
        value["plugin"] = message(plugin, {1: "name"})["name"].decode()
    return value


for record in records(open(sys.argv[1], "rb").read()):
    event = message(record, {1: "wall_time", 2: "step", 3: "file_version", 5: "summary", 7: "session_log"})
    event.setdefault("step", 0)
    if "file_version" in event:
        event["file_version"] = event["file_version"].decode()
    if "session_log" in event:
        event["session_log"] = message(event["session_log"], {1: "status"})
    if "summary" in event:
        event["summary"] = [summary_value(value) for number, value in fields(event["summary"]) if number == 1]
    print(json.dumps(event))

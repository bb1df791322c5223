"""TFRecord files of `tf.train.Example`s, read without TensorFlow.

A record is its length (uint64), a checksum of these eight bytes (uint32), its bytes and a checksum
of them, all little-endian; the checksums are CRC-32C, rotated by 15 bits and shifted by a constant
(TensorFlow's `record_writer`). Files may be compressed as a whole, by gzip or zlib. What a record
says is parsed by the copy of the protocol that tensorflow-datasets brings.
"""

import pathlib
import zlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt32

from edjax.errors import UserError

# What an example says by one name: texts, float32 or int64.
Values = list[bytes] | np.ndarray

_HEAD, _CHECK = 8, 4  # bytes of a length and of a checksum
_POLYNOMIAL, _SHIFT = 0x82F63B78, 0xA282EAD8


def examples(path: pathlib.Path, wanted: Collection[str]) -> list[dict[str, Values]]:
  """Reads a file of examples, all its checksums verified.

  Args:
    path: of the file.
    wanted: names of what is taken of every example.

  Returns:
    {name: values} of each, in order, without the names it does not have.

  Raises:
    UserError: if the file is truncated, altered, or holds something else.
  """
  from google.protobuf.message import DecodeError
  from tensorflow_datasets.proto import tf_example_generated_pb2 as protocol

  try:
    found = []
    for record in _records(path.read_bytes()):
      features = protocol.Example.FromString(record).features.feature
      found.append({name: _values(features[name]) for name in wanted if name in features})
    return found
  except (OSError, ValueError, zlib.error, DecodeError) as error:
    raise UserError(
      f"{path}: not a whole TFRecord file of examples ({error}); fetch the file again"
    ) from error


def checksums(texts: Sequence[bytes]) -> UInt32[np.ndarray, " n"]:
  """Returns the checksum that stands behind each text, of all at once, byte by byte."""
  lengths = np.array([len(text) for text in texts])
  order = np.argsort(-lengths, kind="stable")
  rows = np.zeros((len(texts), lengths.max(initial=0)), np.uint8)
  for row, place in zip(rows, order, strict=True):
    row[: lengths[place]] = np.frombuffer(texts[place], np.uint8)
  state = np.full(len(texts), 0xFFFFFFFF, np.uint32)
  longer = len(texts) - np.searchsorted(np.sort(lengths), np.arange(rows.shape[1]), "right")
  for column, count in zip(np.ascontiguousarray(rows.T), longer, strict=True):
    head = state[:count]
    state[:count] = _TABLE[(head ^ column[:count]) & 255] ^ (head >> 8)
  found = np.empty_like(state)
  found[order] = ~state
  return ((found >> 15) | (found << 17)) + np.uint32(_SHIFT)


def _table() -> UInt32[np.ndarray, "256"]:
  """What each byte does to a CRC-32C."""
  table: np.ndarray = np.arange(256, dtype=np.uint32)
  for _ in range(8):
    table = (table >> 1) ^ np.where(table & 1, np.uint32(_POLYNOMIAL), np.uint32(0))
  return table


_TABLE = _table()


def _records(content: bytes) -> list[bytes]:
  """Returns the records of a file; one whose first length has no checksum is compressed."""
  if checksums([content[:_HEAD]])[0] != _number(content[_HEAD : _HEAD + _CHECK]):
    content = zlib.decompress(content, wbits=32 + zlib.MAX_WBITS)  # gzip or zlib, by its head
  place = 0
  texts: list[bytes] = []
  given: list[int] = []
  while place < len(content):
    head = content[place : place + _HEAD]
    start = place + _HEAD + _CHECK
    end = start + _number(head)
    place = end + _CHECK
    if place > len(content):
      raise ValueError(f"it ends within record {len(texts) // 2}")
    texts += [head, content[start:end]]
    given += [_number(content[start - _CHECK : start]), _number(content[end:place])]
  wrong = np.flatnonzero(checksums(texts) != np.array(given, np.uint32))
  if len(wrong):
    raise ValueError(f"record {wrong[0] // 2} is not what its checksum says")
  return texts[1::2]


def _number(text: bytes) -> int:
  return int.from_bytes(text, "little")


def _values(feature: Any) -> Values:
  """Of a `tf.train.Feature`, which holds a list of one of three kinds."""
  kind = feature.WhichOneof("kind")
  if kind is None:
    return []
  values = getattr(feature, kind).value
  if kind == "bytes_list":
    return list(values)
  return np.array(values, np.float32 if kind == "float_list" else np.int64)

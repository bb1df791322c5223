"""What a file is, told by how it begins and never by its ending, which people choose freely."""

import contextlib
import pathlib
import tarfile
import zipfile
from typing import NoReturn

from edjax.errors import UserError

PICKLE, SAFETENSORS = "pickle", "safetensors"  # the two that hold tensors
# How torch.save began before it wrote archives.
_TORCH_PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_AGAIN = "get the file itself again"
# How other files begin, what they are, and what to do about it.
_OTHERS = (
  (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
  (b"\x89PNG", "a PNG image", "name the file of the network"),
  (b"\xff\xd8\xff", "a JPEG image", "name the file of the network"),
  (b"GIF8", "a GIF image", "name the file of the network"),
  (b"BM", "a BMP image", "name the file of the network"),
  (b"RIFF", "a RIFF file, such as a WebP image", "name the file of the network"),
  (b"%PDF", "a PDF document", "name the file of the network"),
  (b"\x1f\x8b", "compressed by gzip", "unpack it and name the file within"),
  (b"BZh", "compressed by bzip2", "unpack it and name the file within"),
  (b"\xfd7zXZ", "compressed by xz", "unpack it and name the file within"),
  (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it and name the file within"),
  (b"7z\xbc\xaf", "a 7z archive", "unpack it and name the file within"),
  (b"Rar!", "a RAR archive", "unpack it and name the file within"),
  (b"\x89HDF", "an HDF5 file, as Keras writes", "save the network from PyTorch"),
  (b"\x93NUMPY", "a NumPy array", "save the whole network, with the names of its tensors"),
  (b"GGUF", "a GGUF file", "save the network from PyTorch"),
)


def tell(path: pathlib.Path) -> str:
  """Returns `PICKLE` (of torch.save) or `SAFETENSORS`.

  Raises:
    UserError: if it is neither, saying what it is and what to do.
  """
  with path.open("rb") as file:
    start = file.read(512)
  size = path.stat().st_size
  if not start:
    raise UserError(f"{path} is empty; {_AGAIN}")
  if start.startswith(_TORCH_PICKLE):
    return PICKLE
  if start.startswith(b"PK"):
    return _archive(path, start)
  if start[257:262] == b"ustar":
    return _tape(path)
  if start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= 100_000_000:
    return SAFETENSORS
  for begin, kind, advice in _OTHERS:
    if start.startswith(begin):
      raise UserError(f"{path} is {kind}, not a network; {advice}")
  begins = f"it begins with {_shown(start)}"
  text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
  if text.startswith(b"<"):
    raise UserError(
      f"{path} is a web page, not a network ({begins}): the download was answered by a page, such "
      "as one that asks to confirm or to sign in; download the file itself"
    )
  if not start.strip(b"\0"):
    raise UserError(f"{path} begins with nothing but zeros, as a copy cut short does; {_AGAIN}")
  if _is_text(start, whole=size <= len(start)):
    raise UserError(f"{path} is text, not a network ({begins}); {_AGAIN}")
  if start[0] == 0x80 and start[1] in range(2, 6):
    raise UserError(
      f"{path} is a Python pickle that torch.save did not write, and reading it could run code; "
      "where you trust its origin, load it there and save its tensors with "
      "safetensors.torch.save_file"
    )
  raise UserError(
    f"{path} is no sound PyTorch or .safetensors file ({begins}); {_AGAIN}, or save the network "
    "from the program that made it with torch.save(network.state_dict(), …)"
  )


def _archive(path: pathlib.Path, start: bytes) -> str:
  """Tells a zip archive: torch.save writes one that holds data.pkl."""
  try:
    with zipfile.ZipFile(path) as archive:
      names = archive.namelist()
  except (zipfile.BadZipFile, ValueError) as error:
    reason = "it begins as a zip archive and is cut short or damaged"
    raise UserError(f"{path} is no sound PyTorch file ({reason}); {_AGAIN}") from error
  inner = {name.partition("/")[2] for name in names}
  if "constants.pkl" in inner:
    raise UserError(
      f"{path} is a TorchScript program, not a state dict; load it in PyTorch with torch.jit.load "
      "and save its state_dict with safetensors.torch.save_file"
    )
  if "data.pkl" in inner:
    return PICKLE
  raise UserError(
    f"{path} is a zip archive without a network of torch.save's; it holds {_some(names)}; unpack "
    "it and name the file of the network"
  )


def _tape(path: pathlib.Path) -> NoReturn:
  """Refuses a tar archive, of which the very first PyTorch files are one kind."""
  names = []
  with contextlib.suppress(tarfile.TarError, OSError), tarfile.open(path) as archive:
    names = archive.getnames()
  if {"storages", "tensors", "pickle"} <= set(names):
    raise UserError(
      f"{path} is of PyTorch's oldest format, which cannot be read without running what it holds; "
      "where you trust its origin, load it in PyTorch and save its state_dict with "
      "safetensors.torch.save_file"
    )
  raise UserError(
    f"{path} is a tar archive without a network of torch.save's; it holds {_some(names)}; unpack "
    "it and name the file of the network"
  )


def _some(names: list[str]) -> str:
  return ", ".join(names[:3]) + " …" * (len(names) > 3) or "nothing that can be read"


def _shown(start: bytes) -> str:
  """The first bytes as a person reads them, on one line."""
  text = start[:40].decode("utf-8", "replace")
  return repr(" ".join(text.split()) if _is_text(start[:40], whole=False) else start[:8])


def _is_text(start: bytes, whole: bool) -> bool:
  try:
    text = start.decode("utf-8")
  except UnicodeDecodeError as error:
    if whole or error.start < len(start) - 3:  # the last character may be cut
      return False
    text = start[: error.start].decode("utf-8")
  return all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)

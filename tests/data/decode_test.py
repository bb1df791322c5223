"""Decoding, with every decoder installed: what images of all kinds become, and which are bad."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from edjax.data.photographs import decoding
from edjax.errors import UserError
from tests import command
from tests.archives import colour, jpeg, shade


@pytest.fixture(params=list(decoding.DECODERS))
def square(request):
  """`decoding.square` with each decoder."""
  for module in decoding.DECODERS[request.param]:
    pytest.importorskip(module)
  return lambda content, size: decoding.square(content, size, request.param)


def encoded(image, kind, **options):
  """Returns an array or a Pillow image as a file."""
  file = io.BytesIO()
  (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
  return file.getvalue()


def smooth(height, width):
  """Returns a picture without edges, uint8 [height, width, 3]."""
  y, x = np.mgrid[:height, :width] / 100
  waves = [np.sin(x + 2 * y), np.cos(3 * x - y), np.sin(2 * x) * np.cos(2 * y)]
  return np.uint8(128 + 100 * np.stack(waves, -1))


def test_a_colour_stays(square):
  for height, width, size in ((24, 32, 16), (64, 64, 64), (5, 3, 8), (200, 300, 16), (1, 1, 4)):
    image = square(jpeg(("a", 1), height, width), size)
    assert image.shape == (size, size, 3) and image.dtype == np.uint8
    assert np.abs(image.astype(int) - shade("a", 1)).max() <= 3


@pytest.mark.parametrize(
  "height, width, size, error",
  [(90, 160, 64, 1), (160, 90, 64, 1), (304, 400, 96, 1), (300, 400, 96, 2)],
)
def test_the_middle_is_resized(square, height, width, size, error):
  """Against the values of the picture at the places that the pixels' centres come from.

  A side of 300 pixels has no whole number of them at 3/8 of its size, so places are a little off.
  """
  picture = smooth(height, width)
  side = min(height, width)
  centres = (np.arange(size) + 0.5) * side / size - 0.5
  rows, columns = centres + (height - side) / 2, centres + (width - side) / 2
  y, x = rows[:, None] / 100, columns[None] / 100
  waves = [np.sin(x + 2 * y), np.cos(3 * x - y), np.sin(2 * x) * np.cos(2 * y)]
  expected = 128 + 100 * np.stack(waves, -1)
  found = square(encoded(picture, "JPEG", quality=98, subsampling=0), size)
  assert np.abs(found - expected).max() < 5 * error and np.abs(found - expected).mean() < error


def test_a_jpeg_of_the_right_size_is_what_pillow_decodes(square):
  content = encoded(smooth(64, 64), "JPEG")
  assert np.array_equal(square(content, 64), np.asarray(Image.open(io.BytesIO(content))))


# Where the EXIF standard puts the 0th row and the 0th column of a stored image.
SIDES = {
  1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
  5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", SIDES)
def test_images_are_turned_upright(square, orientation, kind):
  upright = np.zeros((32, 32, 3), np.uint8)
  upright[:16, :16], upright[:16, 16:], upright[16:, :16] = 250, (250, 0, 0), (0, 250, 0)
  stored = np.empty_like(upright)
  for row in range(32):
    for column in range(32):
      place = {}
      for side, k in zip(SIDES[orientation], (row, column), strict=True):
        place["y" if side in ("top", "bottom") else "x"] = k if side in ("top", "left") else 31 - k
      stored[row, column] = upright[place["y"], place["x"]]
  exif = Image.Exif()
  exif[0x0112] = orientation
  quality = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
  found = square(encoded(stored, kind, exif=exif, **quality), 32).astype(int)
  assert np.abs(found - upright).max() < 30


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_exif_that_cannot_be_read_does_not_spoil_an_image(square):
  content = encoded(colour((200, 10, 10), 16, 16), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
  assert np.abs(square(content, 16).astype(int) - (200, 10, 10)).max() <= 6


def test_modes(square):
  grey = np.full((16, 16), 77, np.uint8)
  assert np.all(square(encoded(grey, "JPEG"), 16) == 77)
  assert square(encoded(grey, "JPEG"), 8).shape == (8, 8, 1)
  cmyk = square(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=98), 16)
  assert np.abs(cmyk.astype(int) - (255, 0, 0)).max() <= 6
  deep = np.full((4, 4), 257 * 9, np.uint16)
  assert np.all(square(encoded(deep, "PNG"), 4) == 9)
  palette = Image.new("P", (4, 4), 1)
  palette.putpalette([0, 0, 0, 200, 100, 50])
  assert np.all(square(encoded(palette, "PNG"), 4) == (200, 100, 50))
  assert np.all(square(encoded(palette, "PNG", transparency=bytes([255, 0])), 4) == 255)
  frames = [Image.new("RGB", (4, 4), c) for c in ((250, 0, 0), (0, 250, 0))]
  moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
  assert np.all(square(moving, 4) == (250, 0, 0))


def png_header(width, height):
  """Returns a PNG file that ends after it has said how large it is."""
  chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
  start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
  return start + struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 9000) + b"IDAT"


def bad_images():
  """Returns {kind: (bytes, a word of the reason)}."""
  noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  return {
    "truncated jpg": (encoded(noise, "JPEG")[:2000], "truncated"),
    "truncated png": (encoded(noise, "PNG")[:6000], "truncated"),
    "half a header": (encoded(noise, "JPEG")[:100], ""),
    "zero bytes": (b"", "empty"),
    "html": (b"<!DOCTYPE html><html>404</html>", "<!DOCTYPE ht"),
    "float": (encoded(np.zeros((4, 4), np.float32), "TIFF"), "floating-point"),
    "bomb": (png_header(20_000, 20_000), "400000000 pixels"),
  }


@pytest.mark.parametrize("kind", bad_images())
def test_bad_images(square, kind):
  content, word = bad_images()[kind]
  with pytest.raises(decoding.BadImage) as caught:
    square(content, 16)
  assert word in str(caught.value) and "\n" not in str(caught.value)
  assert "0x" not in str(caught.value)  # no address of an object


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_our_own_limit_of_pixels(square):
  with pytest.raises(decoding.BadImage, match="9460x9460 pixels are more than the limit"):
    square(png_header(9_460, 9_460), 16)
  with pytest.raises(decoding.BadImage, match="truncated"):
    square(png_header(9_450, 9_450), 16)


def jpeg_header(width, height):
  """Returns a JPEG file that ends where its pixels would begin."""
  content = bytearray(encoded(smooth(8, 8), "JPEG"))
  frame = content.index(b"\xff\xc0")
  content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
  return bytes(content[: content.index(b"\xff\xda") + 14])


def odd_images():
  """Returns {kind: bytes} of files that are unusual, and images all the same."""
  picture = Image.fromarray(smooth(40, 56))
  frames = [Image.new("RGB", (9, 9), c) for c in ((250, 0, 0), (0, 250, 0))]
  moving = {"save_all": True, "append_images": frames[1:]}
  turned = Image.Exif()
  turned[0x0112] = 6
  palette = picture.convert("P")
  return {
    "grey jpg": encoded(picture.convert("L"), "JPEG"),
    "cmyk jpg": encoded(picture.convert("CMYK"), "JPEG"),
    "progressive jpg": encoded(picture, "JPEG", progressive=True),
    "turned jpg": encoded(picture, "JPEG", exif=turned),
    "jpg and more": encoded(picture, "JPEG") + b"\0" * 999,
    "16-bit png": encoded(smooth(20, 30)[..., 0] * np.uint16(257), "PNG"),
    "palette with alpha": encoded(palette, "PNG", transparency=bytes(range(256))),
    "grey with alpha": encoded(picture.convert("LA"), "PNG"),
    "animated gif": encoded(frames[0], "GIF", **moving),
    "animated png": encoded(frames[0], "PNG", **moving),
    "animated webp": encoded(frames[0], "WEBP", **moving),
    "one pixel": encoded(picture.crop((0, 0, 1, 1)), "JPEG"),
    "one pixel png": encoded(picture.crop((0, 0, 1, 1)), "PNG"),
    "one row": encoded(picture.crop((0, 0, 56, 1)), "JPEG"),
  }


def judged(content, decoder):
  """Returns the pixels as int, or None for a file that is refused."""
  try:
    return decoding.square(content, 16, decoder).astype(int)
  except decoding.BadImage:
    return None


@pytest.mark.parametrize("kind", [*odd_images(), *bad_images(), "cut jpg"])
def test_decoders_agree_on_what_an_image_is(kind):
  for module in decoding.DECODERS["simplejpeg"]:
    pytest.importorskip(module)
  odd, bad = odd_images(), bad_images()
  whole = odd["progressive jpg"]
  cut = [whole[:length] for length in range(1, len(whole), 97)]
  for content in {"cut jpg": cut}.get(kind, [odd.get(kind) or bad.get(kind, ("",))[0]]):
    one, other = (judged(content, decoder) for decoder in decoding.DECODERS)
    assert (one is None) == (other is None) == (kind not in odd)
    if one is not None:
      assert one.shape == other.shape and np.abs(one - other).mean() < 6


_BOMB = """
import resource, sys
from edjax.data.photographs import decoding
content = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
  decoding.square(content, 16, sys.argv[2])
except decoding.BadImage as error:
  print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("decoder", decoding.DECODERS)
@pytest.mark.parametrize("header", [jpeg_header, png_header])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, decoder, header):
  for module in decoding.DECODERS[decoder]:
    pytest.importorskip(module)
  (tmp_path / "bomb").write_bytes(header(20_000, 20_000))
  ended = subprocess.run(
    [sys.executable, "-c", _BOMB, str(tmp_path / "bomb"), decoder],
    capture_output=True, text=True, cwd=command.ROOT, check=True,
  )  # fmt: skip
  reason, kibibytes = ended.stdout.splitlines()
  assert "pixels" in reason and int(kibibytes) < 64 * 1024  # of 1.2 GB


def test_decoders_agree():
  for module in decoding.DECODERS["simplejpeg"]:
    pytest.importorskip(module)
  assert decoding.best() == "simplejpeg"
  for height, width, size in ((384, 512, 160), (384, 512, 224), (100, 80, 64), (512, 512, 64)):
    content = encoded(smooth(height, width), "JPEG", quality=90)
    one, other = (decoding.square(content, size, name).astype(int) for name in decoding.DECODERS)
    assert np.abs(one - other).max() <= 6 and np.abs(one - other).mean() < 1


def test_a_decoder_that_is_not_installed(monkeypatch):
  monkeypatch.setattr(decoding.importlib.util, "find_spec", lambda name: None)
  assert decoding.best() == "pillow"
  decoding.check("pillow")
  with pytest.raises(UserError, match=r"pip install 'edjax\[data\]'"):
    decoding.check("simplejpeg")
  with pytest.raises(UserError, match="pillow, simplejpeg"):
    decoding.check("turbo")


def test_refusals_are_capped():
  row = {"file": "a.jpg", "why": "broken"}
  with pytest.raises(UserError, match="a.jpg: .*broken.*bad_images=skip"):
    decoding.Refusals("error", 1000).add(row)
  refusals = decoding.Refusals("skip", 250)
  for _ in range(3):
    refusals.add(row)
  with pytest.raises(UserError, match="4 among 250"):
    refusals.add(row)

"""Where the images of a run live: on every device, divided over the devices, or on the host.

Wherever that is, a step is handed the images of its batch, so it is the same program and gives the
same bits.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int32, UInt8

from edjax.errors import choose

RESIDENCES = {  # and what a run says of it
  "auto": "",
  "device": "",
  "sharded": "are divided over {devices} devices",
  "streamed": "stay on the host, which lays out what the next steps need",
}
SHARE = 0.5  # of a device's memory that images may take; networks and activations need the rest


def settle(wanted: str, size: int, limit: int | None, devices: int, mapped: bool) -> str:
  """Returns where images are to live: "device", "sharded" or "streamed".

  Args:
    wanted: a key of `RESIDENCES`; all but "auto" is the answer.
    size: bytes of all images.
    limit: bytes that a device has for arrays; None where a device says nothing of it: there (a CPU)
      its memory is the host's, and a copy of what is mapped from the disk would only cost memory.
    devices: how many there are.
    mapped: whether the images are mapped from the disk, and not in the host's memory already.

  Raises:
    UserError: if `wanted` is none of these.
  """
  choose(RESIDENCES, wanted, "residence")
  if wanted != "auto":
    return wanted
  if limit is None:
    return "streamed" if mapped else "device"
  if size <= SHARE * limit:
    return "device"
  if devices > 1 and size <= SHARE * limit * devices:
    return "sharded"
  return "streamed"


def look_up(
  images: UInt8[Array, "images height width channels"], rows: Int32[Array, "*batch"]
) -> UInt8[Array, "..."]:
  """Returns the images at `rows`, int32 […], of all images on every device."""
  return images[rows]


def look_up_divided(
  images: UInt8[Array, "stretch height width channels"], rows: Int32[Array, "*batch"], axis: str
) -> UInt8[Array, "..."]:
  """Returns the images at this device's `rows`, whichever device has them.

  Args:
    images: uint8 [stretch, height, width, channels]; device d has images d · stretch and following.
    rows: int32 […], of equal shape on every device.
    axis: name of the mapped axis.

  Returns:
    uint8 […, height, width, channels].

  Every device gives what it has of what anyone asks for, and zeros for the rest. Each gets its own
  part of the sum, which is exact.
  """
  stretch, shape = len(images), images.shape[1:]
  places = jax.lax.all_gather(rows.ravel(), axis, tiled=True) - stretch * jax.lax.axis_index(axis)
  own = ((places >= 0) & (places < stretch)).reshape(-1, *(1 for _ in shape))
  given = jnp.where(own, images[jnp.clip(places, 0, stretch - 1)], 0)
  return jax.lax.psum_scatter(given, axis, tiled=True).reshape(*rows.shape, *shape)

"""The command as the tests give it: inside this process, and as a process of its own."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys

import flax.linen as nn
from absl import flags

from configs import common
from edjax import main
from edjax.models import layers

ROOT = pathlib.Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Ended:
  """How a command ended."""

  code: int
  out: str
  err: str


def give(capfd, *arguments):
  """Runs the command in this process, with everything that stands between a shell and `main`.

  Args:
    capfd: the fixture.
    *arguments: as in a shell, such as "--config=configs/digits.py:smoke".

  Returns:
    An `Ended`. An exception that the command lets through is not caught: a shell would see a traceback.
  """
  values, argv, path = flags.FLAGS, sys.argv, sys.path[:]
  sys.argv = ["edjax", *map(str, arguments)]  # where config_flags looks for settings
  values.unparse_flags()
  capfd.readouterr()
  code = 0
  try:
    main.run()
  except SystemExit as error:
    code = error.code or 0
    if isinstance(code, str):  # as the interpreter does
      print(code, file=sys.stderr)
      code = 1
  finally:
    sys.argv, sys.path[:] = argv, path
    for name in [name for name in values if name.startswith("config.")]:
      delattr(values, name)
    for name in ("config", "workdir", "mode"):
      values[name].unparse()
    values.mark_as_parsed()
  return Ended(code, *capfd.readouterr())


def start(*arguments, **environment):
  """Starts the command as a process; returns it, its standard error piped.

  `environment` is added to that of this process; there is one CPU device unless it says otherwise.
  """
  return subprocess.Popen(
    [sys.executable, "-m", "edjax.main", *map(str, arguments)],
    cwd=ROOT,
    env=os.environ | {"JAX_NUM_CPU_DEVICES": "1", "PYTHONUNBUFFERED": "1"} | environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def end(process):
  """Waits for a process; returns an `Ended`."""
  out, err = process.communicate(timeout=600)
  return Ended(process.returncode, out, err)


class Layer(nn.Module):
  """One convolution, normalisation and ReLU: the least a fragment can be."""

  channels: int
  stride: int

  @nn.compact
  def __call__(self, x, norm):
    x = norm(name="bn")(layers.conv3x3(self.channels, self.stride, name="conv")(x))
    return nn.relu(x), (nn.relu(x),), (x,)


# A network of three fragments which compiles in a fraction of a second.
SMALL = layers.Body(
  fragments=tuple(functools.partial(Layer, channels, stride) for channels, stride in ((4, 2), (6, 1), (8, 2))),
  head=layers.Classifier,
  width=8,
)


def tiny(seed=0, **data):
  """Returns the config of a school of seconds: three subjects of digits, networks named "small".

  Where it is used "small" must be a row of `models.MODELS`: see the fixture `small`.
  """
  config = common.base("tiny", "digits")

"""No run opens a socket to the network when its data is there."""

import json
import subprocess
import sys

from edjax.data.photographs import cache, reader
from tests import command

# An audit hook sees every socket that Python code makes in the process, and cannot be taken off.
_OFFLINE = """
import json, pathlib, socket, sys

def refuse(event, arguments):
  network = event == "socket.__new__" and arguments[1] in (socket.AF_INET, socket.AF_INET6)
  if network or event in ("socket.getaddrinfo", "socket.connect", "socket.gethostbyname"):
    print("refused", event, flush=True)
    raise OSError("offline")

sys.addaudithook(refuse)
sys.path.insert(0, ".")
from configs import digits, food101
from edjax import models
from edjax.settings import settle
from edjax.training import loop
from tests.small import SMALL

models.MODELS["small"] = SMALL
out = pathlib.Path(sys.argv[1])
for name, config in (("digits", digits), ("food101", food101)):
  config = config.get_config("ce,smoke")
  with config.unlocked():
    config.data_dir, config.devices, config.student.model = str(out), 1, "small"
    config.recipe.batch_size = 8
  report = loop.run(settle(config), out / name)
  again = loop.exam(settle(config), out / name)
  print(json.dumps([name, report["student"]["top1"], again["top1"]]))
try:
  socket.socket()
except OSError:
  print("done")
"""


def test_training_and_exams_open_no_socket(tmp_path, food, compiled):
  place, _ = reader.prepare("food101", tmp_path, 32)
  food.unlink()
  assert cache.is_ready(place)
  ended = subprocess.run(
    [sys.executable, "-c", _OFFLINE, str(tmp_path)],
    capture_output=True, text=True, cwd=command.ROOT, check=False,
    env=command.os.environ | {"JAX_NUM_CPU_DEVICES": "1"} | compiled,
  )  # fmt: skip
  assert ended.returncode == 0, ended.stderr
  digits, photos, *end = ended.stdout.splitlines()
  for line, name in ((digits, "digits"), (photos, "food101")):
    said, top1, again = json.loads(line)
    assert said == name and top1 == again
  assert end == ["refused socket.__new__", "done"]  # the hook was there all the time
  assert "stay on the host" in ended.stderr  # the photographs were streamed

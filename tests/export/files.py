"""What the tests of exports share: graduates of any family, and files asked without edjax."""

import functools
import pathlib

import jax
import numpy as np
import pytest
import torch

from edjax import models
from edjax.graduate import Graduate
from tests.models.drawn import nchw, randomised
from tests.reference import zoo

NAMES = ("ant", "bée", "cat, tabby", "dog", "emu")
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
ENDINGS = {
  "onnx": ".onnx",
  "stablehlo": ".stablehlo",
  "litert": ".tflite",
  "safetensors": ".safetensors",
  "torch": ".pth",
}
RUNTIMES = {
  "onnx": ("jax2onnx", "onnxruntime"),
  "stablehlo": ("flatbuffers",),
  "litert": ("litert_converter", "ai_edge_litert"),
  "safetensors": (),
  "torch": (),
}


def needed(kind):
  for module in RUNTIMES[kind]:
    pytest.importorskip(module)


@functools.cache
def graduate(name, shape=(32, 32, 3)):
  """A network none of whose numbers is like another, and that is not too sure of its answers."""
  network = models.graduate(models.body(name), len(NAMES))
  variables = randomised(network, (1, *shape))
  mean, std = MEAN[: shape[-1]], STD[: shape[-1]]
  student = Graduate(name, NAMES, shape, mean, std, variables, {"dataset": "letters"})
  largest = np.abs(reference(student, pictures(student, 11))).max()
  head = variables["params"]["head"]
  head["dense"] = jax.tree.map(lambda leaf: leaf * np.float32(5 / largest), head["dense"])
  return student


def pictures(student, count):
  return np.random.default_rng(1).integers(0, 256, (count, *student.image_shape), np.uint8)


def normalised(student, images):
  """By the definition."""
  return ((images / 255.0 - student.mean) / student.std).astype(np.float32)


def reference(student, images):
  """The logits of the re-statement in PyTorch."""
  network = zoo.make(student.model, len(student.class_names), student.image_shape)
  zoo.load(network.eval(), student.variables, student.model)
  with torch.no_grad():
    return network(nchw(normalised(student, images))).logits.numpy()


def odds(logits):
  return np.asarray(torch.softmax(torch.from_numpy(np.array(logits)), 1))


def asked(path, images):
  """What a file answers in its own runtime, opened for this batch alone."""
  ending = pathlib.Path(path).suffix
  if ending == ".onnx":
    import onnxruntime

    return onnxruntime.InferenceSession(str(path)).run(None, {"images": images})[0]
  if ending == ".stablehlo":
    exported = jax.export.deserialize(bytearray(pathlib.Path(path).read_bytes()))
    return np.asarray(exported.call(images))
  from ai_edge_litert.interpreter import Interpreter

  interpreter = Interpreter(model_path=str(path))
  (given,) = interpreter.get_input_details()
  assert list(given["shape_signature"]) == [-1, *images.shape[1:]]
  interpreter.resize_tensor_input(given["index"], images.shape)
  runner = interpreter.get_signature_runner()
  (answer,) = runner(images=images).values()
  return answer

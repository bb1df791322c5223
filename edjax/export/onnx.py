"""ONNX, by jax2onnx; run by onnxruntime."""

import os

import jax

from edjax.export.program import BATCH, Ask, Program
from edjax.extras import require

_OPSET = 18  # runtimes from 2023 on know it


def write(program: Program, path: str | os.PathLike[str]) -> None:
  """Writes a file that takes "images" and returns "probabilities", or "logits".

  Raises:
    UserError: if packages are missing.
  """
  jax2onnx, onnx = require("jax2onnx", "export"), require("onnx", "export")
  with jax.numpy_rank_promotion("allow"):  # its own convolutions add a bias as it is, [channels]
    model = jax2onnx.to_onnx(
      program.function,
      inputs=[program.images(BATCH)],
      model_name=program.graduate.model,
      opset=_OPSET,
      input_names=["images"],
      output_names=[program.returns],
    )
  onnx.helper.set_model_props(model, program.notes)
  onnx.save(model, os.fspath(path))


def opened(path: str | os.PathLike[str], program: Program) -> Ask:
  """Returns what a file answers, in onnxruntime on the CPU."""
  runtime = require("onnxruntime", "export")
  session = runtime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
  return lambda images: session.run(None, {"images": images})[0]

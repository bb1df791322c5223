"""LiteRT (.tflite), from StableHLO by the converter of LiteRT alone, without TensorFlow."""

import os
import pathlib

import jax
import numpy as np

from edjax.export import attached
from edjax.export.program import BATCH, Ask, Program
from edjax.extras import require

_SIGNATURE = "serving_default"


def write(program: Program, path: str | os.PathLike[str]) -> None:
  """Writes a file with the signature "serving_default", of "images"; notes are attached.

  Raises:
    UserError: if packages are missing.
  """
  ir = require("litert_converter.mlir.ir", "litert")
  passes = require("litert_converter.mlir.passmanager", "litert")
  stablehlo = require("litert_converter.mlir.dialects.stablehlo", "litert")
  converter = require("litert_converter.mlir._mlir_libs.converter_api_ext", "litert")
  from jax import export

  (count,) = export.symbolic_shape(BATCH)
  exported = export.export(jax.jit(program.function), platforms=["cpu"])(program.images(count))
  context = ir.Context()
  converter.prepare_mlir_context(context)
  with context:
    module = stablehlo.deserialize_portable_artifact(context, exported.mlir_module_serialized)
    converter.set_signature(
      module.operation,
      signature_name=_SIGNATURE,
      input_names=["images"],
      output_names=[program.returns],
    )
    settings = converter.ConvertToTFLConfig()
    settings.unsafe_fuse_dynamic_shaped_broadcast = True  # only the number of images is open
    converter.run_convert_to_tfl_passes(module, passes.PassManager(), settings)
    content = converter.export_flatbuffer_to_bytes(module.operation)
  pathlib.Path(path).write_bytes(content)
  attached.write(path, program)


def opened(path: str | os.PathLike[str], program: Program) -> Ask:
  """Returns what a file answers, in LiteRT's interpreter on the CPU."""
  runtime = require("ai_edge_litert.interpreter", "litert")
  interpreter = runtime.Interpreter(model_path=os.fspath(path))
  (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()

  def ask(images: np.ndarray) -> np.ndarray:
    if tuple(interpreter.get_input_details()[0]["shape"]) != images.shape:
      interpreter.resize_tensor_input(given["index"], images.shape)
    interpreter.allocate_tensors()  # nothing where they are
    interpreter.set_tensor(given["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(made["index"])

  return ask

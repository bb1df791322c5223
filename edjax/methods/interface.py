"""What a distillation method is.

A method is a frozen dataclass whose fields are its options, with two functions:

  init(key, student_output, teacher_output) -> variables
    {"params": …} for what it learns (projectors), {"memory": …} for what it remembers (banks); {}
    for most. The outputs may be abstract: shapes come from `jax.eval_shape`, never from a config.
  loss(variables, student_output, teacher_output, batch) -> (per_example, memory)
    float32 [batch], never reduced, and the new `memory` subtree ({} where there is none).

The outputs are `models.Output`s of the same images: the student's restricted to the classes that
the teacher's logits answer for, column by column. Teacher outputs are constants. `teacher_output`
is None for a method with `needs_teacher = False`, which is asked once per image, over all seen
classes.
"""

import flax
import jax


@flax.struct.dataclass
class Batch:
  """The images a method is asked about.

  Attributes:
    labels: int32 [batch], columns of the student's logits.
    index: int32 [batch], which training image each one is (for memories).
    mask: float32 [batch], 0 for padding, which must not influence any other image's loss.
    key: of this step, for methods that draw.
  """

  labels: jax.Array
  index: jax.Array
  mask: jax.Array
  key: jax.Array

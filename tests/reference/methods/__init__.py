"""Every row of `edjax.methods.METHODS` in PyTorch: a module of the same name each.

A module holds

  OPTIONS: what the method is tried with, a dict per trial.
  loss(student, teacher, batch, variables, **options): [batch], or the scalar that a method defined
    for whole batches must have as its mean. Outputs are `tests.reference.resnet.Output`s in
    float64; `variables` are the method's own {"params": …, "memory": …}, in the layouts of Flax.
  TOLERANCE, where there is one: {name of a case that float32 cannot tell better: how well it can}.
  LEFT_OUT, where there is one: {name of a case that the method refuses: the error it says}, or one
    such dict per trial.
  USUAL, where "random" is left out: the case that stands for all others.
"""

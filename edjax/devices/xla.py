"""What XLA is told before it starts; it does not listen later."""

import importlib.metadata
import os

# Without effect on accelerators. Releases refuse, with a crash, what they do not know.
_FOR_CPUS = {
  # Otherwise some kernel gradients go to a library that needs up to eight times as long.
  "--xla_cpu_experimental_ynn_fusion_type": "individual_dot",
  # Otherwise it spends memory on concurrency, of which a train step has little: a tenth slower.
  "--xla_cpu_enable_concurrency_optimized_scheduler": "false",
}
_KNOWN = (0, 10), (0, 13)  # jaxlib, from and below: those in which the flags were tried


def quicken_cpus() -> None:
  """Makes training convolutions quick on CPUs; what the user says in `XLA_FLAGS` goes before.

  To be called before JAX is asked about its devices for the first time.
  """
  release = tuple(int(part) for part in importlib.metadata.version("jaxlib").split(".")[:2])
  if not _KNOWN[0] <= release < _KNOWN[1]:
    return
  given = os.environ.get("XLA_FLAGS", "")
  ours = [f"{name}={value}" for name, value in _FOR_CPUS.items() if name not in given]
  os.environ["XLA_FLAGS"] = " ".join([*ours, given]).strip()

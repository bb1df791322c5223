r"""Does a simulated sky teach anything of the real one? Networks sit both exams.

python experiments/et_school.py --data_dir=DIR --out=DIR [--kepler_dir=DIR] [--seeds=0,1,2]
  [--events=16000] [--skies=toy,all] [--labels=500]

`--data_dir` is that of `tess`. Skies have ever more in them, see `SKIES`. In each a `curve_small`
learns from labels alone, and is examined on the sky's own test part and on both the validation
part, by which skies were chosen, and the test part of the real events. With the directory of
`kepler` it is also asked about the exam of that. Then it goes on with --labels of the real training
labels, beside one that has nothing but these. A run that is there is not done again.

Writes --out/et_school.jsonl, a row per exam: sky, seed, exam, labels, what was found. Prints mean
and sample standard deviation of average precisions over the seeds, and how many there are.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from runs import spread
from sky import asked, figures

import edjax
from edjax import simulate
from edjax.compare.sweep import run_all
from edjax.data import datasets
from edjax.data.readers import curves, kepler, tess

_TOY = ("planet", "eclipsing", "flickering")
_LONG = 4  # times as many epochs of the few real labels
# name -> (classes of objects, slow noise); each has what the one before has, and one thing more
SKIES = {
  "toy": (_TOY, 0.0),
  "slow noise": (_TOY, 0.3),
  "variables": ((*_TOY, "variable"), 0.3),
  "telescope": ((*_TOY, "variable", "systematic", "orbital"), 0.3),
  "all": ((*_TOY, "variable", "systematic", "orbital", "blended"), 0.3),
}


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--kepler_dir", type=pathlib.Path)
  parser.add_argument("--skies", default=",".join(SKIES))
  parser.add_argument("--seeds", default="0,1,2")
  parser.add_argument("--events", type=int, default=16_000)
  parser.add_argument("--epochs", type=int, default=12)
  parser.add_argument("--labels", type=int, default=500)
  parser.add_argument("--jobs", type=int, default=1)
  options = parser.parse_args()
  skies, seeds = options.skies.split(","), [int(seed) for seed in options.seeds.split(",")]
  for name in skies:
    objects, red = SKIES[name]
    given = [f"--objects={','.join(objects)}", f"--red={red}", f"--events={options.events}"]
    simulate.main([f"--data_dir={options.out / 'skies' / name}", *given])
  first, then = arguments(options, skies, seeds)
  run_all(first, options.out, options.jobs)
  run_all(then, options.out, options.jobs)
  exams, rows = real_exams(options.data_dir, options.kepler_dir), []
  for name in first | then:
    sky, labels, seed = name.rsplit("_", 2)
    about = {"sky": sky, "labels": int(labels), "seed": int(seed)}
    if not int(labels):
      found = figures(json.loads((options.out / name / "report.json").read_text())["student"])
      rows.append(about | {"exam": "simulated"} | found)
    graduate = edjax.load(options.out / name)
    rows += [about | {"exam": exam} | found for exam, found in sat(graduate, exams).items()]
  text = "".join(json.dumps(row) + "\n" for row in rows)
  (options.out / "et_school.jsonl").write_text(text)
  for line in summary(rows):
    print(line)


def arguments(options, skies, seeds):
  """Returns those of the commands, {run: arguments}: of simulated skies, of real labels after."""
  first, then = {}, {}
  for seed in seeds:
    same = [f"--config.seed={seed}", f"--config.epochs={options.epochs}"]
    real = [
      "--config=tess:ce",
      f"--config.data_dir={options.data_dir}",
      f"--config.data.train_limit={options.labels}",
      f"--config.seed={seed}",
      f"--config.epochs={_LONG * options.epochs}",
    ]
    then[f"none_{options.labels}_{seed}"] = real
    for sky in skies:
      place = options.out / "skies" / sky
      first[f"{sky}_0_{seed}"] = ["--config=et:ce", f"--config.data_dir={place}", *same]
      begun = f"--config.student.start={options.out / f'{sky}_0_{seed}' / 'graduate'}"
      then[f"{sky}_{options.labels}_{seed}"] = [*real, begun]
  return first, then


def real_exams(directory, kepler_directory=None):
  """Returns {exam: (light curves, labels, the groups that are looked for)}."""
  real = datasets.load("tess", data_dir=directory)
  parts = {"validation": real.validation, "test": real.test}
  exams = {
    f"real {name}": (np.asarray(part.images), part.labels, real.positives)
    for name, part in parts.items()
  }
  if kepler_directory:
    exam = datasets.load("kepler", data_dir=kepler_directory).test
    (signal,) = kepler.of_exam(kepler_directory, ("model_snr",))
    planets = {"planet": real.positives["planet"]}
    candidate, junk = tess.CLASSES.index("PC"), tess.CLASSES.index("J")
    labels = np.where(exam.labels == kepler.CLASSES.index("confirmed"), candidate, junk)
    exams["real Kepler"] = as_tess(exam.images, signal, real.train.images), labels, planets
  return exams


def as_tess(images, signal, known):
  """Returns light curves of `kepler` with the channels of `tess`.

  Args:
    images: of `kepler`, [n, 1, places, 5]: the first five channels of `tess`.
    signal: by how many σ each stands out, which nobody says of some.
    known: of `tess`. What Kepler's table does not say has the median of these.
  """
  rest = np.empty((*images.shape[:3], 3), np.uint8)
  rest[..., 0] = curves.quantised(curves.log_signal(signal))[:, None, None]
  rest[..., 1:] = np.median(known[..., 6:], axis=(0, 1, 2))
  return np.concatenate([images, rest], -1)


def sat(graduate, exams):
  """Returns {exam: what is found} of a graduate on real events."""
  return {name: asked(graduate, *exam) for name, exam in exams.items()}


def summary(rows):
  """Yields a line for every sky, number of real labels and exam."""
  kinds = dict.fromkeys((row["sky"], row["labels"], row["exam"]) for row in rows)
  for sky, labels, exam in kinds:
    own = [r for r in rows if (r["sky"], r["labels"], r["exam"]) == (sky, labels, exam)]
    said = []
    for group in (each for each in ("planet", "transit-like") if each in own[0]):
      values = [row[group]["average_precision"] for row in own]
      said.append(f"{group} {np.mean(values):.3f} ± {spread(values):.3f}")
    yield f"{sky}, {labels} real labels, {exam}: {', '.join(said)} (n = {len(own)} seeds)"


if __name__ == "__main__":
  main()

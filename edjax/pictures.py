"""The pictures of a report: figures in, inline SVG out. Pure; matplotlib without pyplot."""

import math

import matplotlib
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edjax.drawing import (
  BAND,
  BLUE,
  BLUES,
  GREY,
  INK,
  LIGHT_BLUE,
  PALE,
  PERCENT,
  STYLE,
  VERMILION,
  WIDTH,
  big,
  inline,
  number_or_nan,
  shorten,
)

MOST_NUMBERED, MOST_NAMED = 20, 110  # classes whose confusion still has numbers, names
MOST_POINTS = 300  # of the training curve, in one grade


@matplotlib.rc_context(STYLE)
def learning_curve(grades, rows):
  """Draws top-1 and loss over the epochs of the whole school, a band for each grade.

  Args:
    grades: rows of the report's "grades", in order.
    rows: rows of the journal, kinds "train" and "exam"; rows of an unknown grade are left out. A
      row without an epoch is placed by its step.
  """
  figure = Figure(figsize=(WIDTH, 4.9))
  top, bottom = figure.subplots(
    2,
    1,
    sharex=True,
    gridspec_kw=dict(
      height_ratios=(3, 1.7), hspace=0.12, left=0.07, right=0.985, top=0.89, bottom=0.1
    ),
  )
  total = sum(grade["epochs"] for grade in grades)
  legend = {"train": "training batches, running", "exam": "validation", "test": "test, at the end"}
  start, first_step = 0.0, 0
  for index, grade in enumerate(grades):
    end = start + grade["epochs"]
    mine = [row for row in rows if row.get("grade") == grade["name"]]
    last_step = max((row.get("step", 0) for row in mine), default=first_step)
    train, exams = ([row for row in mine if row.get("kind") == kind] for kind in ("train", "exam"))
    anchors = [
      (first_step, 0.0),
      *((row["step"], row["epoch"]) for row in train if "step" in row and "epoch" in row),
      (last_step, end - start),
    ]
    for axes, of_train, of_exam in ((top, "top1", "top1"), (bottom, "loss", "nll")):
      if index % 2 == 0:
        axes.axvspan(start, end, color=BAND, linewidth=0, zorder=0)
      axes.plot(
        *_curve(train, anchors, start, of_train),
        color=GREY,
        linewidth=1.0,
        alpha=0.8,
        label=legend.pop("train", None) if train else None,
      )
      axes.plot(
        *_curve(exams, anchors, start, of_exam),
        color=BLUE,
        linewidth=1.6,
        marker="o",
        markersize=3 if len(exams) <= 60 else 0,
        label=legend.pop("exam", None) if exams else None,
      )
    top.plot(
      [end],
      [number_or_nan(grade.get("top1"))],
      color=VERMILION,
      marker="D",
      markersize=5.5,
      linestyle="none",
      markeredgecolor="white",
      clip_on=False,
      zorder=5,
      label=legend.pop("test", None),
    )
    letters = int(120 * grade["epochs"] / max(total, 1e-9))
    if letters >= 2:
      top.text(
        (start + end) / 2,
        1.03,
        shorten(grade["name"], letters),
        ha="center",
        transform=top.get_xaxis_transform(),
      )
    start, first_step = end, last_step
  figure.legend(
    *top.get_legend_handles_labels(),
    loc="upper left",
    bbox_to_anchor=(0.06, 1.0),
    ncols=3,
    fontsize=8.5,
    labelcolor=GREY,
    handlelength=1.6,
    borderaxespad=0.2,
  )
  top.yaxis.set_major_formatter(PERCENT)
  top.set_ylabel("top-1")
  bottom.set_ylabel("loss, nats")
  bottom.set_xlabel("epochs since the start of the school")
  bottom.set_xlim(0, total or 1)
  bottom.set_ylim(bottom=0)
  for axes in (top, bottom):
    axes.grid(True, axis="y")
    axes.tick_params(length=0)
  return inline(figure, "curve", "Training and validation top-1 and loss over all grades")


def _curve(rows, anchors, start, key):
  steps, epochs = zip(*anchors, strict=True)
  points = np.array(
    [
      (row.get("epoch", np.interp(row.get("step", 0), steps, epochs)), number_or_nan(row.get(key)))
      for row in rows
    ],
    np.float64,
  ).reshape(-1, 2)
  points[~np.isfinite(points)] = np.nan
  if len(points) > MOST_POINTS:
    points = np.array([chunk.mean(axis=0) for chunk in np.array_split(points, MOST_POINTS)])
  return start + points[:, 0], points[:, 1]


@matplotlib.rc_context(STYLE)
def confusion(counts, classes, subjects):
  """Draws the confusion matrix, classes grouped by subject, in shares of each true class.

  Up to 20 classes have their numbers, up to 110 their names; above that the subjects are named.

  Args:
    counts: [n][n] counts, rows are the truth.
    classes: n names.
    subjects: {name: class indices}.
  """
  order, blocks = _grouped(len(classes), subjects)
  matrix = np.asarray(counts, np.float64)[np.ix_(order, order)]
  shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
  n = len(order)
  numbered, named = n <= MOST_NUMBERED, n <= MOST_NAMED
  names = [shorten(classes[index], 20) for index in order]
  side = min(7.4, 0.62 * n) if numbered else 7.3
  left, upper = 1.6, 0.35
  bottom = 0.5 + 0.06 * max(map(len, names)) if numbered else 0.35
  height = bottom + side + upper
  figure = Figure(figsize=(WIDTH, height))
  axes = figure.add_axes((left / WIDTH, bottom / height, side / WIDTH, side / height))
  # The square root lets a mistake of one per cent be seen beside a diagonal of ninety.
  image = axes.imshow(
    shares, cmap=BLUES, norm=PowerNorm(0.5, 0, 1), interpolation="none", aspect="auto"
  )
  axes.tick_params(length=0)
  axes.spines[:].set_visible(True)
  if numbered:
    axes.set_xticks(range(n), names, rotation=40, ha="right", rotation_mode="anchor")
    for row, column in np.argwhere(matrix > 0):
      share = shares[row, column]
      text = f"{100 * share:.1f}" if n <= 12 else f"{100 * share:.0f}"
      axes.text(
        column,
        row,
        text,
        ha="center",
        va="center",
        fontsize=8.5 if n <= 12 else 7.5,
        color="white" if share > 0.35 else INK,
      )
  else:
    axes.set_xticks([])
  if named:
    size = min(8.5, 0.98 * 72 * side / n)
    axes.set_yticks(range(n), names, fontsize=size)
  else:
    axes.set_yticks([(a + b) / 2 - 0.5 for a, b, _ in blocks], [shorten(s, 20) for *_, s in blocks])
  axes.set_xlabel("row: truth, column: answer, in % of the row")
  for a, b, subject in blocks:
    if len(blocks) > 1:
      letters = max(2, int(72 * side * (b - a) / n / 4.6))
      axes.text(
        (a + b) / 2 - 0.5,
        -0.5 - 0.012 * n,
        shorten(subject, letters),
        ha="center",
        va="bottom",
        color=GREY,
        fontsize=7.5,
      )
    if a:
      for line in (axes.axhline, axes.axvline):
        line(a - 0.5, color=GREY, linewidth=0.6)
  if not numbered:
    scale = figure.add_axes(
      ((left + side + 0.15) / WIDTH, bottom / height, 0.1 / WIDTH, 2.2 / height)
    )
    bar = figure.colorbar(image, cax=scale, ticks=[0, 0.01, 0.05, 0.25, 0.5, 1])
    bar.outline.set_visible(False)
    scale.set_yticklabels(["0", "1", "5", "25", "50", "100"], fontsize=8)
    scale.tick_params(length=0)
  return inline(figure, "confusion", "Confusion matrix of the graduate on the test split")


def _grouped(n, subjects):
  """Returns all n class indices subject by subject, and (start, stop, subject) of each group."""
  order, blocks = [], []
  for subject, members in (*subjects.items(), ("other classes", range(n))):
    new = [index for index in dict.fromkeys(members) if index not in order]
    if new:
      blocks.append((len(order), len(order) + len(new), subject))
      order += new
  return order, blocks


@matplotlib.rc_context(STYLE)
def growth(grades):
  """Draws which fragments the student has in each grade, its parameters and its MACs."""
  fragments = list(dict.fromkeys(f for grade in grades for f in grade["fragments"]))
  height = 0.62 + 0.34 * len(grades)
  figure = Figure(figsize=(WIDTH, height))
  panels = figure.subplots(
    1,
    3,
    sharey=True,
    gridspec_kw=dict(
      width_ratios=(1.5, 1, 1),
      wspace=0.08,
      left=0.15,
      right=0.985,
      top=1 - 0.42 / height,
      bottom=0.06 / height,
    ),
  )
  present = [[fragment in grade["fragments"] for fragment in fragments] for grade in grades]
  for y, row in enumerate(present):
    panels[0].barh(
      [y] * sum(row),
      0.92,
      left=[x - 0.46 for x, has in enumerate(row) if has],
      height=0.62,
      color=LIGHT_BLUE,
      linewidth=0,
    )
    highest = max((x for x, has in enumerate(row) if has), default=-1)
    whole = all(row)
    panels[0].barh(
      [y],
      0.92,
      left=highest + 0.54,
      height=0.62,
      linewidth=0.9,
      color=VERMILION if whole else "white",
      edgecolor=VERMILION,
    )
    panels[0].text(
      highest + 1,
      y,
      "head" if whole else "reference",
      ha="center",
      va="center",
      fontsize=8,
      color="white" if whole else VERMILION,
    )
    for x, has in enumerate(row):
      if has:
        panels[0].text(
          x,
          y,
          shorten(str(fragments[x]).removeprefix("fragment_"), 12),
          ha="center",
          va="center",
          fontsize=8.5,
        )
  panels[0].set_xlim(-0.46, len(fragments) + 0.6)
  panels[0].set_yticks(
    range(len(grades)), [shorten(grade["name"], 20) for grade in grades], ha="left"
  )
  panels[0].invert_yaxis()
  for axes, title, key in zip(
    panels, ("fragments", "parameters", "MACs per image"), (None, "params", "macs"), strict=True
  ):
    axes.set_title(title, fontsize=9, color=GREY, loc="left")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelbottom=False)
    if key:
      values = [number_or_nan(grade.get(key)) for grade in grades]
      most = max((v for v in values if v > 0), default=1)
      axes.barh(range(len(grades)), values, height=0.62, color=BLUE, linewidth=0)
      axes.set_xlim(0, 1.3 * most)
      for y, value in enumerate(values):
        axes.text(
          0.03 * most + (value if value > 0 else 0),
          y,
          "–" if math.isnan(value) else big(value),
          va="center",
          fontsize=8.5,
        )
  panels[0].tick_params(axis="y", labelcolor=INK, pad=72 * 0.15 * WIDTH)
  return inline(figure, "growth", "Fragments, parameters and MACs of the student in each grade")


@matplotlib.rc_context(STYLE)
def faculty(names, of_teachers, of_graduate):
  """Draws each teacher's top-1 beside the graduate's on the same classes (nan where unknown)."""
  height = 0.72 + 0.3 * len(names)
  figure = Figure(figsize=(WIDTH, height))
  axes = figure.add_axes((0.2, 0.42 / height, 0.765, 1 - 0.72 / height))
  y = range(len(names))
  axes.hlines(y, of_teachers, of_graduate, color=PALE, linewidth=3, zorder=1)
  axes.plot(of_teachers, y, "o", color=BLUE, markersize=7, label="the teacher")
  axes.plot(
    of_graduate,
    y,
    "D",
    color=VERMILION,
    markersize=6,
    label="the graduate, on the teacher’s classes",
  )
  axes.set_yticks(y, [shorten(name, 24) for name in names], ha="left")
  axes.set_ylim(len(names) - 0.5, -0.5)
  axes.xaxis.set_major_locator(MaxNLocator(8, steps=(1, 2, 5, 10)))
  axes.xaxis.set_major_formatter(PERCENT)
  axes.margins(x=0.08)
  axes.grid(True, axis="x")
  axes.spines[:].set_visible(False)
  axes.tick_params(length=0)
  axes.tick_params(axis="y", labelcolor=INK, pad=72 * 0.2 * WIDTH)
  axes.legend(
    loc="lower left",
    bbox_to_anchor=(0, 1),
    ncols=2,
    fontsize=8.5,
    labelcolor=GREY,
    borderaxespad=0.3,
    borderpad=0,
    handletextpad=0.2,
  )
  return inline(figure, "faculty", "Test top-1 of each teacher and of the graduate")


@matplotlib.rc_context(STYLE)
def reliability(calibration):
  """Draws accuracy against confidence, and below it how many examples have that confidence."""
  bins = len(calibration["count"])
  centres = (np.arange(bins) + 0.5) / bins
  confidence, accuracy = (
    np.array([number_or_nan(v) for v in calibration[key]]) for key in ("confidence", "accuracy")
  )
  figure = Figure(figsize=(4.6, 5.0))
  top, bottom = figure.subplots(
    2,
    1,
    sharex=True,
    gridspec_kw=dict(
      height_ratios=(4, 1), hspace=0.07, left=0.14, right=0.95, top=0.93, bottom=0.1
    ),
  )
  top.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
  top.bar(centres, accuracy, 0.9 / bins, color=LIGHT_BLUE, linewidth=0, label="accuracy")
  top.vlines(
    confidence,
    accuracy,
    confidence,
    color=VERMILION,
    linewidth=2.2,
    label="gap to the mean confidence",
  )
  top.plot(confidence, accuracy, "o", color=BLUE, markersize=3.5, clip_on=False)
  bottom.bar(
    centres,
    np.array(calibration["count"]) / max(1, sum(calibration["count"])),
    0.9 / bins,
    color=PALE,
    linewidth=0,
  )
  top.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
  bottom.set(xlabel="confidence", ylabel="examples")
  top.legend(
    loc="lower left",
    bbox_to_anchor=(0, 1),
    ncols=2,
    fontsize=8.5,
    labelcolor=GREY,
    handlelength=1.2,
    borderaxespad=0.4,
    borderpad=0,
  )
  for axes in (top, bottom):
    axes.yaxis.set_major_formatter(PERCENT)
    axes.yaxis.set_major_locator(MaxNLocator(5 if axes is top else 2))
    axes.tick_params(length=0)
    axes.grid(True, axis="y")
  bottom.xaxis.set_major_formatter(PERCENT)
  bottom.tick_params(axis="x", pad=6)
  return inline(figure, "reliability", "Reliability diagram of the graduate")

"""Tables of docs/survey.md, made of the rows of et_occurrence.py, et_vetted.py, et_yield.py."""

import numpy as np


def rates(made):
  """Returns three tables: rates, what the fit to all dwarfs misses, and which intervals hold."""
  real = [row for row in made if row["sample"] != "simulated"]
  yield "\n".join(
    [
      "| stars | weights | by | days | radii | found | planets of a star | published |",
      "|---|---|---|---|---|---:|---|---|",
      *(
        f"| {row['sample']} | {row['weights']} | {row['estimator']} | {span(row['box'][0], 0)} | "
        f"{span(row['box'][1], 2)} | {row.get('found', '–')} | {said(row)} | {known(row)} |"
        for row in real
        if "expected" not in row
      ),
      "",
    ]
  )
  cells = [row for row in real if "expected" in row]
  yield "\n".join(
    [
      "| days | radii | found | expected | by inverse efficiency | by the fit |",
      "|---|---|---:|---:|---|---:|",
      *(
        f"| {span(row['box'][0], 0)} | {span(row['box'][1], 2)} | {row['found']} | "
        f"{row['expected']:.1f} | {row['rate']:.3f} ± {row['high'] - row['rate']:.3f} | "
        f"{row['by fit']:.3f} |"
        for row in cells
      ),
      "",
    ]
  )
  yield "\n".join(
    [
      "| by | figure | truth | mean | deviation | half the interval | inside |",
      "|---|---|---:|---:|---:|---:|---:|",
      *(
        f"| {row['estimator']} | {named(row['figure'])} | {row['truth']:.3g} | {row['mean']:.3g} | "
        f"{row['deviation']:.2g} | {row['mean_half_interval']:.2g} | {row['inside']} |"
        for row in made
        if row["sample"] == "simulated"
      ),
      "",
    ]
  )


def yields(made):
  """Returns three tables: of all planets, of Earth 2.0s, of the Earth's twin."""
  yield "\n".join(
    [
      "| design | rate | found | to mag | noise | duty | all | Earth-sized |",
      "|---|---|---|---:|---|---:|---:|---:|",
      *(
        f"| `{row['design']}` | {row['rate']} | {row['found']} | {row['faintest']:.0f} | "
        f"{row['noise']} | {row['duty']:.3g} | {row['total']:,.0f} | {row['earths']:,.0f} |"
        for row in made
        if "total" in row
      ),
      "",
    ]
  )
  cells = {
    (row["rate"], row["found"], row["kinds"], row["zone"]): f"{row['earth2']:.1f}"
    for row in made
    if "earth2" in row
  }
  lines = dict.fromkeys((rate, found) for rate, found, _, _ in cells)
  columns = dict.fromkeys((kinds, zone) for _, _, kinds, zone in cells)
  yield "\n".join(
    [
      f"| rate | found | {' | '.join(f'{kinds}, {zone}' for kinds, zone in columns)} |",
      f"|---|---|{'---:|' * len(columns)}",
      *(
        f"| {rate} | {found} | {' | '.join(cells[rate, found, *each] for each in columns)} |"
        for rate, found in lines
      ),
      "",
    ]
  )
  twins = {(row["twin"], row["transits"]): row for row in made if "twin" in row}
  yield "\n".join(
    [
      "| noise of the star | ppm in 6.5 hours | 4 transits | 8 transits |",
      "|---|---:|---:|---:|",
      *(
        f"| {name} | {np.hypot(row['star_ppm'], row['instrument_ppm']):.1f} | "
        f"{row['magnitude']:.2f} | {twins[name, 8]['magnitude']:.2f} |"
        for (name, transits), row in twins.items()
        if transits == 4
      ),
      "",
    ]
  )


def vetted(made):
  """Returns a table: which intervals hold the truth by true labels, and by the graduates'."""
  by = {}
  for row in made:
    by.setdefault((row["estimator"], named(row["figure"])), {})[row["labels"]] = row
  lines = [
    "| by | figure | truth | true labels: mean | inside | graduates': mean | deviation | inside |",
    "|---|---|---:|---:|---:|---:|---:|---:|",
  ]
  for (estimator, figure), rows in by.items():
    true, own = rows["true"], rows["the graduates'"]
    lines.append(
      f"| {estimator} | {figure} | {true['truth']:.3g} | {true['mean']:.3g} | {true['inside']} | "
      f"{own['mean']:.3g} | {own['deviation']:.2g} | {own['inside']} |"
    )
  return "\n".join([*lines, ""])


def span(box, digits):
  """Returns both ends, those from 2 on to so many digits behind the point."""
  return " to ".join(f"{round(edge, digits if edge >= 2 else 2):g}" for edge in box)


def named(figure):
  return figure if isinstance(figure, str) else f"{span(figure[0], 0)} days, {span(figure[1], 2)}"


def said(row):
  return f"{row['rate']:.3g} ({row['low']:.3g} to {row['high']:.3g})"


def known(row):
  *values, source = row.get("published", ("–",))
  ends = f" ({values[1]:g} to {values[2]:g})" if len(values) > 1 else ""
  return f"{values[0]:g}{ends}, {source}" if values else source


def rounded(value):
  """To four digits, so that a row can be read."""
  return float(f"{float(value):.4g}")

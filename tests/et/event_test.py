"""Events of several telescopes: closed forms, differences, what was put in, MulensModel."""

import jax
import numpy as np
import pytest

from edjax.et import event, lens, observers

pytestmark = pytest.mark.usefixtures("precisely")

TARGET = (266.801, -21.383)
PASSAGE = event.Event(5291.2, 0.3, 23.0, (-0.24, 0.25), None)
AWAY = (-0.15, 0.9)  # of the second telescope, in au: west of the Earth by as much as Spitzer was


def curve(seen, seed, place=(0.0, 0.0), source=100.0, blend=20.0, error=0.5, every=2.0):
  """What a telescope measures of an event: 121 days, of which all have a point but the 5th."""
  random = np.random.default_rng(seed)
  time = 5290.0 + np.arange(-60, 61, every)
  off = observers.uneven(time, 5291.0, TARGET)
  there = observers.Across(
    *(np.asarray(each) + more for each, more in zip(off, place, strict=True))
  )
  flux = source * event.magnification(seen, time, there) + blend
  errors = np.full(time.size, error)
  errors[4] = np.inf
  return event.Curve(time, np.asarray(flux) + error * random.normal(size=time.size), errors, there)


@pytest.fixture(scope="module")
def seen():
  """The event from the Earth and from an au aside."""
  with jax.enable_x64(True):
    return [curve(PASSAGE, 1), curve(PASSAGE, 2, AWAY, 50.0, 5.0)]


def test_fluxes_of_magnitudes():
  flux, error = event.fluxes(np.array([22.0, 19.5]), 0.01)
  np.testing.assert_allclose(flux, [1, 10])
  brighter = event.fluxes(19.5 - 1e-6, 0.01)[0]
  np.testing.assert_allclose(error[1], (brighter - 10) / 1e-6 * 0.01, rtol=1e-5)


def test_the_best_fluxes_are_those_of_least_squares():
  """A row to a star; what has an infinite error is not there."""
  random = np.random.default_rng(0)
  light, error = random.uniform(1, 3, (3, 9)), random.uniform(0.1, 0.5, (3, 9))
  flux = 5 * light + 2 + error * random.normal(size=(3, 9))
  error[:, 2], flux[:, 2] = np.inf, 1e6
  found = event.shares(light, flux, error)
  for number in range(3):
    kept = np.arange(9) != 2
    sides = np.stack([light[number], np.ones(9)], 1)[kept] / error[number, kept, None]
    wanted = np.linalg.lstsq(sides, flux[number, kept] / error[number, kept])[0]
    np.testing.assert_allclose([each[number] for each in found], wanted, rtol=1e-12)
  assert event.shares(np.ones(4), np.arange(4.0), 1.0) == (0, 1.5)  # no change says nothing


def test_what_is_known_of_the_blend_is_a_point_without_a_star(seen):
  """As the normal equations of one row more have it."""
  known = seen[0]._replace(veil=2.0)
  (kept,) = np.nonzero(np.isfinite(known.error))
  light = np.append(event.magnification(PASSAGE, known.time, known.place)[kept], 0)
  error = np.append(known.error[kept], 2)
  sides = np.stack([light, np.ones_like(light)], 1) / error[:, None]
  least = np.linalg.lstsq(sides, np.append(known.flux[kept], 0) / error)[1]
  np.testing.assert_allclose(event.chi_square(PASSAGE, [known]), least[0], rtol=1e-10)


def test_many_events_at_once(seen):
  many = PASSAGE._replace(least=np.array([0.2, 0.3]), crossing=np.array([23.0, 20.0]))
  axes = event.Event(None, 0, 0, None, None)
  found = jax.jit(jax.vmap(event.chi_square, (axes, None)))(many, seen)
  for number in range(2):
    one = many._replace(least=many.least[number], crossing=many.crossing[number])
    np.testing.assert_allclose(found[number], jax.jit(event.chi_square)(one, seen), rtol=1e-10)


def test_a_fit_needs_float64(seen):
  with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
    event.fit(seen, PASSAGE)


def test_what_was_put_in_is_found(seen):
  """Within its errors, and as much χ² as there are points, but for what was fitted."""
  start = PASSAGE._replace(closest=5293.0, least=0.4, crossing=19.0, parallax=(-0.1, 0.1))
  found = event.fit(seen, start)
  free = 2 * 60 - 5 - 4
  assert abs(found.chi_square - free) < 3.5 * np.sqrt(2 * free)
  errors = np.sqrt(np.diag(found.covariance))
  off = [found.event.closest - 5291.2, found.event.least - 0.3]
  off += [np.log(found.event.crossing / 23), *np.subtract(found.event.parallax, (-0.24, 0.25))]
  assert (np.abs(off) < 3.5 * errors).all() and (errors < 0.05).all()
  np.testing.assert_allclose(found.source, [100, 50], rtol=0.05)
  np.testing.assert_allclose(found.blend, [20, 5], atol=4)


def test_a_fit_is_at_a_least_place(seen):
  """No small step of any parameter makes χ² less, and steps of σ make it more by about 1."""
  found = event.fit(seen, PASSAGE)
  inverse = np.linalg.inv(found.covariance)
  flat, tree = jax.tree.flatten(found.event)
  for number in range(5):
    for sign in (1, -1):
      step = sign / np.sqrt(inverse[number, number])
      moved = [value + step * (k == number) for k, value in enumerate(flat)]
      if number == 2:
        moved[2] = flat[2] * np.exp(step)
      chi_square = event.chi_square(jax.tree.unflatten(tree, moved), seen)
      assert chi_square - found.chi_square == pytest.approx(1, rel=0.2)


def test_all_four_solutions_are_found(seen):
  """From an event without parallax, fitted to the Earth's curve alone, and no other hint."""
  alone = event.fit(seen[:1], event.Event(5290.0, 0.5, 15.0)).event
  found = event.solutions(seen, event.starts(alone, (0.2, 0.6)))
  kinds = set()
  for end in found[:4]:
    _, aside = lens.track(seen[1].time, *end.event[:3], end.event.parallax, seen[1].place)
    nearest = np.argmin(lens.path(seen[1].time, *end.event[:3], end.event.parallax, seen[1].place))
    kinds.add((end.event.least > 0, bool(aside[nearest] > 0)))
  assert len(kinds) == 4
  assert np.hypot(*np.subtract(found[0].event.parallax, PASSAGE.parallax)) < 0.02
  assert np.diff([end.chi_square for end in found]).min() > 0


def test_without_parallax_the_sign_of_u0_is_nothing(seen):
  ends = event.solutions(seen[:1], [event.Event(5291.0, sign * 0.4, 20.0) for sign in (1, -1)])
  assert len(ends) == 1 and ends[0].event.least > 0


def test_a_disk_is_fitted():
  """As it passes behind the lens: ρ within its error."""
  disk = event.Event(5291.2, 0.05, 12.0, None, 0.1)
  measured = [curve(disk, 3, every=0.5)]
  start = disk._replace(closest=5291.0, least=0.08, crossing=10.0, radius=0.15)
  found = event.fit(measured, start)
  error = found.covariance[3, 3] ** 0.5
  assert abs(np.log(found.event.radius / 0.1)) < 3.5 * error and error < 0.05


def test_mulensmodel(tmp_path):
  """The same event, of the Earth and of a spacecraft with a table of Horizons, and its χ²."""
  mulens = pytest.importorskip("MulensModel")
  from edjax.data.readers import horizons

  rows = [  # 2.5 degrees of right ascension a day, and one down
    f" 2014-Jun-{day:02d} 00:00     {17 + day // 6:02d} {day % 6 * 10:02d} 00.00"
    f" -{day + 5:02d} 30 00.0 1.20000000000000  0.0 9.9"
    for day in range(1, 31)
  ]
  path = tmp_path / "table.dat"
  head = "Center body name: Earth (399)\n Date__(UT)__HR:MN     R.A._(ICRF/J2000.0)_DEC delta\n"
  path.write_text("\n".join([head, "$$SOE", *rows, "$$EOE", ""]))
  time = 5279.0 + np.linspace(-12, 14, 30)
  away = observers.across(horizons.places(path, time), TARGET)
  off = observers.uneven(time, 5291.0, TARGET)
  for table, place in ((None, off), (path, observers.Across(off[0] + away[0], off[1] + away[1]))):
    model = mulens.Model(
      {"t_0": 2456836.2, "u_0": 0.3, "t_E": 23.0, "pi_E_N": -0.24, "pi_E_E": 0.25,
       "t_0_par": 2456836.0},
      coords=f"{TARGET[0]}d {TARGET[1]}d",
      ephemerides_file=table and str(table),
    )  # fmt: skip
    wanted = model.get_magnification(2451545 + time)
    found = event.magnification(PASSAGE, time, place)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)

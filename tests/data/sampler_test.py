"""Seats and orders: who sits where, each image once, the same again for the same seed."""

import numpy as np
import pytest

from edjax.data import sampler
from edjax.errors import UserError


def members_of(counts, seed=0):
  """Training images of each subject, scattered over the data set."""
  images = np.random.default_rng(seed).permutation(sum(counts))
  return np.split(images, np.cumsum(counts)[:-1])


@pytest.mark.parametrize(
  "counts, batch, seats",
  [
    ([16500, 16500, 17000], 64, (21, 21, 22)),  # 100 classes, 33/33/34: ideals 21.12, 21.12, 21.76
    ([300, 300, 400], 10, (3, 3, 4)),
    ([50, 30, 20], 7, (4, 2, 1)),  # 3.5, 2.1, 1.4: the half is the largest remainder
    ([60, 25, 15], 9, (6, 2, 1)),  # 5.4, 2.25, 1.35: so is .4
    ([10], 4, (4,)),
    ([1000, 1], 2, (1, 1)),
    ([98, 1, 1], 10, (8, 1, 1)),  # one seat each at least
  ],
)
def test_seats_are_in_proportion(counts, batch, seats):
  assert sampler.seat(counts, batch).seats == seats


def test_seats_of_any_school():
  draw = np.random.default_rng(0)
  for _ in range(200):
    counts = draw.integers(20, 400, draw.integers(1, 8)).tolist()
    batch = int(draw.integers(len(counts), 20))
    seating = sampler.seat(counts, batch)
    ideal = batch * np.array(counts) / sum(counts)
    assert sum(seating.seats) == batch and min(seating.seats) >= 1
    if min(ideal) >= 1:
      assert np.all(np.abs(np.array(seating.seats) - ideal) < 1)
    assert seating.steps == sum(counts) // batch  # no subject shortens the epoch


@pytest.mark.parametrize(
  "counts, batch, missing",
  [
    ([30, 30, 40], 10, 0),  # 10 steps of 3, 3, 4
    ([330, 330, 340], 64, 40),  # 15 steps of 21, 21, 22
    ([25, 19], 8, 4),  # 5 steps of 5, 3
  ],
)
def test_an_epoch_shows_each_image_once(counts, batch, missing):
  seating, members = sampler.seat(counts, batch), members_of(counts)
  order = sampler.epoch_order(seating, members, (5,), epoch=2)
  assert order.shape == (seating.steps, batch) and order.dtype == np.int32
  shown, times = np.unique(order, return_counts=True)
  assert times.max() == 1
  assert sum(counts) - len(shown) == seating.left_over == missing
  subject = np.repeat(np.arange(len(counts)), seating.seats)
  for number, images in enumerate(members):
    assert np.isin(order[:, subject == number], images).all()


def test_orders_are_functions_of_seed_and_epoch():
  counts = [40, 24]
  seating, members = sampler.seat(counts, 8), members_of(counts)

  def order(seed, epoch):
    return sampler.epoch_order(seating, members, seed, epoch).tolist()

  assert order((1, 0), 3) == order((1, 0), 3)
  others = [order(*which) for which in [((1, 0), 4), ((2, 0), 3), ((1, 1), 3), ((0, 1), 3)]]
  assert all(other != order((1, 0), 3) for other in others)
  assert order((1, 0), 1) != order((0, 1), 1)


def test_what_rounding_leaves_out_is_drawn_anew():
  seating, members = sampler.seat([33, 33, 34], 10), members_of([33, 33, 34])
  shown = [set(sampler.epoch_order(seating, members, (0,), e).ravel()) for e in range(30)]
  assert shown[0] != shown[1]
  assert set.union(*shown) == set(range(100))


def test_rehearsal_shows_a_share_of_each_subject():
  counts = [400, 400, 400]
  seating = sampler.seat(counts, 40, shares=[0.25, 0.25, 1.0])
  assert seating.images == (100, 100, 400)
  assert seating.seats[2] == 27 or seating.seats[2] == 26  # of an ideal of 26.7
  order = sampler.epoch_order(seating, members_of(counts), (0,), 0)
  assert seating.steps == 600 // 40
  own = [np.isin(order, images).sum() for images in members_of(counts)]
  assert own == [15 * taken for taken in seating.seats]
  # A rehearsed subject has more images than its share, and fills its seats with those.
  assert own[0] > 100 and len(np.unique(order)) == order.size - seating.again
  assert seating.again == max(0, own[2] - 400)
  other = sampler.epoch_order(seating, members_of(counts), (0,), 1)
  old = np.concatenate(members_of(counts)[:2])
  assert set(order[np.isin(order, old)]) != set(other[np.isin(other, old)])


RARE = [
  ([400, 400, 5], 64),
  ([33, 33, 34], 10),
  ([10000, 500, 60], 64),
  ([5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50], 64),
]


@pytest.mark.parametrize("counts, batch", RARE)
def test_a_rare_subject_goes_round_again(counts, batch):
  """It shortens no epoch: each image of a subject is shown as often as any other, or once more."""
  seating, members = sampler.seat(counts, batch), members_of(counts)
  order = sampler.epoch_order(seating, members, (3,), 1)
  assert order.shape == (sum(counts) // batch, batch)
  assert all(len(set(row)) == batch for row in order.tolist())  # no batch shows an image twice
  times = np.bincount(order.ravel(), minlength=sum(counts))
  for images in members:
    assert times[images].max() - times[images].min() <= 1
  assert seating.left_over == (times == 0).sum()
  assert seating.again == (times[times > 0] - 1).sum() > 0


@pytest.mark.parametrize("counts, batch", RARE)
def test_without_specialists_every_image_is_shown_once(counts, batch):
  seating, members = sampler.seat(counts, batch, apart=False), members_of(counts)
  assert seating.seats == (batch,) and seating.shared
  order = sampler.epoch_order(seating, members, (3,), 1)
  assert order.dtype == np.int32 and len(np.unique(order)) == order.size
  assert seating.left_over == sum(counts) - order.size < batch and seating.again == 0
  assert not np.array_equal(order, sampler.epoch_order(seating, members, (3,), 2))
  assert sampler.teacher_seats(seating, [True] * len(counts), 1) is None


def test_a_shared_batch_keeps_to_the_shares_of_rehearsal():
  counts, members = [400, 401, 90], members_of([400, 401, 90])
  seating = sampler.seat(counts, 7, shares=[0.25, 0.25, 1.0], apart=False)
  assert seating.shared
  order = sampler.epoch_order(seating, members, (0,), 0)
  own = np.array([np.isin(order, images).sum() for images in members])
  assert np.all(own <= [100, 100, 90]) and own.sum() == 290 // 7 * 7


def test_seats_that_divide_evenly_are_the_same_without_specialists():
  assert sampler.seat([30, 30, 40], 10) == sampler.seat([30, 30, 40], 10, apart=False)


def test_unfillable_batches():
  with pytest.raises(UserError, match="batch_size 2 is less than the 3 subjects"):
    sampler.seat([10, 10, 10], 2)
  assert sampler.seat([10, 10, 10], 2, apart=False).seats == (2,)
  with pytest.raises(UserError, match="batch_size 64 is more than.*10, 10, 10 by subject"):
    sampler.seat([10, 10, 10], 64)


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("answers", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1)])
def test_teachers_sit_at_their_own_seats(devices, answers):
  seating = sampler.seat([30, 30, 40], 40)
  assert seating.seats == (12, 12, 16)
  places, mask = sampler.teacher_seats(seating, answers, devices)
  assert places.shape == mask.shape and len(places) == devices
  assert set(np.unique(mask)) <= {0.0, 1.0}
  stretch = 40 // devices
  assert places.min() >= 0 and places.max() < stretch
  seats = places + stretch * np.arange(devices)[:, None]
  covered = np.sort(seats[mask == 1])
  assert covered.tolist() == np.flatnonzero(np.repeat(answers, seating.seats)).tolist()
  assert mask.any(axis=0).all()  # no wider than the fullest device needs


def test_one_who_answers_all_needs_no_seats():
  assert sampler.teacher_seats(sampler.seat([30, 30], 4), [True, True], 1) is None


@pytest.mark.parametrize("count, size, batches", [(10, 4, 3), (8, 4, 2), (1, 4, 1), (3, 4, 1)])
def test_exams_ask_each_image_once(count, size, batches):
  places = sampler.exam_batches(count, size)
  assert places.shape == (batches, size) and places.dtype == np.int32
  assert places.ravel()[:count].tolist() == list(range(count))
  assert not places.ravel()[count:].any()

import time, pytest
from edjax import models, school
from tests import command
from configs import digits
@pytest.mark.parametrize("what", ["small","full"])
def test_x(tmp_path, monkeypatch, what):
  monkeypatch.setitem(models.MODELS, "small", command.SMALL)
  c = digits.get_config("smoke")
  if what == "small":
    c.student.model = c.faculty.specialist.model = c.faculty.generalist.model = "small"
  t=time.process_time(); w=time.time()
  r = school.run(c, tmp_path/"w")
  print(what, time.process_time()-t, time.time()-w)
  t=time.process_time(); w=time.time()
  r = school.run(c, tmp_path/"w")
  print("again", time.process_time()-t, time.time()-w)

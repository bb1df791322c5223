"""What the traces of annotated functions share."""

import jaxtyping


def refuses(wrong):
  """Whether a call is found to break an annotation; were none ever, a trace would show nothing."""
  try:
    wrong()
  except jaxtyping.TypeCheckError:
    return True
  return False

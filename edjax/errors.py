"""The one kind of error that a user can cause, and the one way to look a name up in a table."""

import difflib


class UserError(ValueError):
  """Something the user can put right: `main` prints it as one line and exits with code 1.

  The message says what is wrong, where, and what to do; it holds no newline.
  """


def choose(table, name, kind):
  """Returns `table[name]`.

  Args:
    table: a literal dict such as `MODELS`.
    name: the key a user asked for.
    kind: what the table holds, in the singular ("model"), for the message.

  Raises:
    UserError: if there is no such key; the message names the nearest one and all choices.
  """
  if name in table:
    return table[name]
  near = difflib.get_close_matches(str(name), [str(key) for key in table], n=1)
  hint = f" (did you mean {near[0]!r}?)" if near else ""
  raise UserError(f"unknown {kind} {name!r}{hint}; choose one of {', '.join(map(str, table))}")

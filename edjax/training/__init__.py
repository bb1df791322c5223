"""How a student is trained: the loop over grades, a grade made ready, its step and its losses."""

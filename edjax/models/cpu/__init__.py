"""Operations in the form that CPUs compute quickly; their numbers are the plain ones."""

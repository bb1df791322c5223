"""A file per form in which data sets come."""

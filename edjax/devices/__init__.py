"""Devices, processes and the compiler: the only rooms that know how many there are."""

"""Finished runs beside each other: which are alike, and by how much they differ."""

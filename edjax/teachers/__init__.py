"""Frozen networks that answer: where they come from, their answers that are kept."""

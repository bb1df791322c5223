"""A file of names per family: what PyTorch checkpoints call the layers of edjax's networks."""

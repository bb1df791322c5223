"""PyTorch re-statements of what edjax computes, from the papers: the oracles of its tests."""

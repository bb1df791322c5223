"""What a person sees of a run: its live line, its figures, its pages."""

"""The sky of a survey: what planets and lenses do to light, and which are found. Pure."""

"""The sky of a survey: what a planet in transit and a gravitational lens do to light. Pure."""

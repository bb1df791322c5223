"""Images on the device: normalised, cropped, flipped, mixed, strongly augmented."""

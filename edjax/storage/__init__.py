"""What is on the disk: whole folders, locks, checkpoints, work directories."""

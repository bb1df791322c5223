"""What can be read off a network: how much it computes, and its form without normalisations."""

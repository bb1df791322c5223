"""Images and labels: what is read, from where, and how it is cut into parts."""

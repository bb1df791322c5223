"""Photographs of all sizes: archives, decoding, and the cache that runs map into memory."""

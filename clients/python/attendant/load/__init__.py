"""Measures a server under an open load. Knows how to send nothing: the command hands that in."""

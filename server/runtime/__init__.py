"""Tensors, no policy: the cache, the sessions, the choice of a token."""

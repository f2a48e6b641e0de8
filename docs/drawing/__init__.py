"""Draws and measures what the pages about the Transformer show."""

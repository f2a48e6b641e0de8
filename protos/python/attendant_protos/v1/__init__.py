"""Version 1 of the Attendant API."""

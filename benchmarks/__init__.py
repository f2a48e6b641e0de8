"""One script for each published figure; each prints what it is quoted for."""

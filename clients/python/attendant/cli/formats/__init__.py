"""The formats of files. Each is a module that cuts its input into units, to the letter."""

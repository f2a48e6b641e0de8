"""The command `attendant`. Each subcommand is a module that adds its parser and runs."""

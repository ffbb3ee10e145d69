"""The command line: one module per command, each defining `command`; the work is done elsewhere."""

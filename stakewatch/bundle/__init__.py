"""The bundle folder: its configuration, what is built from it, the checks on it, the reports about it."""

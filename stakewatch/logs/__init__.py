"""Logs: pipelines as data, what they make of a line, and the shippers' configurations rendered from them."""

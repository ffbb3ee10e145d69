"""Exporter: what beacon nodes, execution nodes and the chain say, as Prometheus metrics."""

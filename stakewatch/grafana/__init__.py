"""Dashboards: a thin layer over grafanalib that emits what Grafana reads today, and the proof of it."""

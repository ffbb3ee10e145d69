"""The demo: a simulated fleet, the real exporter, Prometheus and Alertmanager, one fault, what follows."""

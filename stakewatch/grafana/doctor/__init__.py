"""The doctor: what of the bundle can work on a Prometheus, what cannot and why, and what it costs there."""

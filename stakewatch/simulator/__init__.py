"""The one fake: a chain with known truth, the APIs and metrics of its clients, and a fault switch."""

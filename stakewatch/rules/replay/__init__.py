"""A whole fleet with known truth on the rule clock: healthy days, faults, and incidents that happened."""

"""A chain of mainnet's size, made beforehand and served fast, to measure an exporter and not its fake."""

"""What is true of the chain and needs no server: clock, specification, rewards, and the two APIs' clients."""

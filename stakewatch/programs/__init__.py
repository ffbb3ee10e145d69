"""Other people's programs: which versions are right, finding or building them, starting and stopping them."""

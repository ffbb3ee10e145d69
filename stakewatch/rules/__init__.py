"""Rule files and their tests: reading, checking, rewriting, running."""

"""Rule files: loading, checking, testing, scaling, and what is built from them."""

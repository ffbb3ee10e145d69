"""Publishing: what a bundle comes to at a service, what stands there, and how the one becomes the other."""

"""Settings: what an operator may set, one typed document."""

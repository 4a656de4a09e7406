"""Platforms as the reference says that they behave (../shared/reference/destinations.md sections 3 to 5): what they take, refuse and answer, and what they show."""

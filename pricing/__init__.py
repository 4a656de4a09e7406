"""Usage by dialect, price cards, token estimates, upper bounds."""

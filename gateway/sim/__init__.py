"""The simulated upstream `sim`: a provider that answers from inside, the same each time, with no account."""

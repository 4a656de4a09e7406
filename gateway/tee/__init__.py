"""What an upstream sends: to the caller first, then into the call's record."""

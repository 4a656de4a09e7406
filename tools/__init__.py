"""What makes the data that we ship, from what others publish. Not part of the wheel."""

"""One module for each place a span can be sent."""

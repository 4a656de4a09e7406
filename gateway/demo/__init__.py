"""Sample traffic for `faregate demo`."""

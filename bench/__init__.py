"""What Faregate costs, measured beside a direct call and nginx in the same run: `make bench`."""

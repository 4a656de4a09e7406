"""Finding a running gateway and asking it something: what most commands do."""

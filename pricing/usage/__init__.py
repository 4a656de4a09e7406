"""Usage as each family of providers reports it, brought to one meaning (`domain.calls.Usage`)."""

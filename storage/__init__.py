"""Journal, ledger, span store and keys: what outlives the process."""

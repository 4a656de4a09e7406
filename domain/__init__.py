"""The nouns of Faregate: plain values, errors and ports. No I/O; only the standard library is imported here."""

"""Texts of apps as values of HTTP headers: nothing in them can end a header or begin another."""

LONGEST = 256


def header_value(text: str) -> str:
    """Return `text` as a value that every server takes: letters of ASCII, at most 256, everything else a question mark."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text[:LONGEST]).strip()

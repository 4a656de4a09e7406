"""What personal data and secrets look like, and how to be sure of it: checksums where there are any.

Every recogniser takes time linear in the text: a pattern begins with a literal or a digit, so that a long run is entered in few places, and
every repetition within it is bounded.
"""

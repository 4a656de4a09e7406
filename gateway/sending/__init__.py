"""Where a call goes: the operator's routes, the targets that they name, and one try after the other until an upstream answers."""

"""What calls cost lately, by key, upstream and model: a file that the office writes now and then, and that the gate reads.

One of a hundred calls cost more than the number here; it says how much a budget that is not strict holds for the next one.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from storage.list_file import read_list, write_list

_decode = msgspec.json.Decoder(list[tuple[str, str, int]]).decode
PastCosts = Mapping[tuple[str, str], int]


def save_past_costs(path: Path, costs: PastCosts) -> None:
    """Replace the file by `costs`, in nano-USD by the id of a key and `upstream/model`, the model as it is named there.

    Raises:
        OSError: it cannot be written.
    """
    write_list(path, ((key, name, nano) for (key, name), nano in costs.items()))


def load_past_costs(path: Path) -> PastCosts:
    """Return what the file says; nothing if there is none yet.

    Raises:
        ValueError: the file is not one that `save_past_costs` wrote.
    """
    return {(key, name): nano for key, name, nano in read_list(path, _decode, "costs")}

"""A process that saves calls that are owed to destinations, and delivers them, as the recorder and the courier of an office do.

On standard output: `saved ID`; then of what was owed to `a`: `delivered ID`, `waiting ID` or `dead ID`, each after it was written down.

python -m tests.storage.power_loss.delivering FOLDER BATCHES
"""

import sys
from pathlib import Path

from storage.database import open_database
from tests.storage.journal.writing import say
from tests.storage.owed import a_store, claim, dead, delivered, later, save

AT_ONCE = 6


def main(folder: Path, batches: int) -> None:
    folder.mkdir()
    database = open_database(f"sqlite:///{folder / 'faregate.db'}")
    database.upgrade()
    say("upgraded", "-")
    store = a_store(database)
    store.beat(now=0)
    for number in range(batches):
        for span in save(database, AT_ONCE, "a", "b", bodies=True, first=number * AT_ONCE):
            say("saved", span.id)
        claims = claim(store, "a", most=AT_ONCE)
        ends = {"delivered": delivered(claims[:3]), "waiting": later(claims[3:4]), "dead": dead(claims[4:5])}
        store.finish([outcome for some in ends.values() for outcome in some])
        for what, some in ends.items():
            for outcome in some:
                assert outcome.claim.span is not None
                say(what, outcome.claim.span.id)
        store.put_back(claims[5:])
    database.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

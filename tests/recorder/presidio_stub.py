"""What stands in for Presidio's process where Presidio is not installed: the same lines, and every way to fail."""

import json
import os
import re
import sys
import threading
from pathlib import Path

NAME = re.compile("Ann Lee|Berlin")


def found(text):
    if "HANG" in text:
        threading.Event().wait()
    if "DIE" in text or ("ONCE" in text and once()):
        os._exit(1)
    if "NOISE" in text:
        say("no JSON")
    if "FAIL" in text:
        raise ValueError(text)
    return [(one.start(), one.end(), "PERSON" if one[0] == "Ann Lee" else "LOCATION") for one in NAME.finditer(text)]


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def once():
    """Return whether this process is the first."""
    return len(Path(os.environ["TMPDIR"], "starts").read_text()) == 1


def main():
    options = json.loads(sys.argv[1])
    with Path(os.environ["TMPDIR"], "starts").open("a") as starts:
        starts.write("x")
    model = options["models"]["en"]
    if model == "dies":
        return
    say(json.dumps({"failed": "there is no model"} if model == "none" else {"ready": True}))
    for line in sys.stdin:
        try:
            texts = json.loads(line)["texts"]
            with Path(os.environ["TMPDIR"], "asked").open("a") as asked:
                asked.write(json.dumps([len(text) for text in texts]) + "\n")
            answer = {"found": [found(text) for text in texts]}
        except ValueError as error:
            answer = {"failed": type(error).__name__}
        say(json.dumps(answer))


if __name__ == "__main__":
    main()

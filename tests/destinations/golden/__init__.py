"""Golden files: payloads as they are to be, one folder for each kind of destination."""

import difflib
import os
from pathlib import Path

FOLDER = Path(__file__).parent


def golden(path: str, payload: bytes) -> None:
    """Compare `payload` with the golden file at `path` (`langfuse/full.json`); with FAREGATE_WRITE_GOLDEN=1 write it instead.

    Give bytes that people can read (indented JSON), so that a difference can be read too.
    """
    file = FOLDER / path
    if os.environ.get("FAREGATE_WRITE_GOLDEN") == "1":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(payload)
        return
    assert file.exists(), f"there is no golden file {path}; write it with FAREGATE_WRITE_GOLDEN=1 and read it"
    expected = file.read_bytes()
    if payload != expected:
        lines = difflib.unified_diff(
            expected.decode("utf-8", "backslashreplace").splitlines(),
            payload.decode("utf-8", "backslashreplace").splitlines(),
            "golden",
            "now",
            lineterm="",
        )
        raise AssertionError("\n".join([f"{path} differs (FAREGATE_WRITE_GOLDEN=1 rewrites it):", *lines]))

"""Run one gate by the way in that a test wants: `python -m tests.harness.launch_gate --config FILE --data DIR --port N [--asgi]`.

In production calls go through the protocol class; the same pipeline behind ASGI is run by tests only, so no command offers it.
"""

import argparse
import logging
import os
from pathlib import Path

from config.loading import load_settings
from gateway.app import serve


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--asgi", action="store_true")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    flags = {"server.port": asked.port, "storage.data": asked.data}
    serve(load_settings(asked.config, os.environ, flags).settings, below_asgi=not asked.asgi)


if __name__ == "__main__":
    main()

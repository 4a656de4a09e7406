"""A courier in a process of its own, over a store: what a fault test kills. `python -m tests.whole.courier_process DATABASE NAME=URL…`."""

import gc
import signal
import sys
import threading
import uuid

from destinations.otlp import OtlpConfig
from recorder.courier import Courier, configured
from storage.database import open_database
from storage.deliveries import DeliveryStore


def main() -> None:
    database = open_database(sys.argv[1])
    places = dict(argument.split("=", 1) for argument in sys.argv[2:])
    configs = {
        name: OtlpConfig(url=url, allow_private=True, timeout=5.0, batch_items=100, parallel=4, redact=())
        for name, url in places.items()
    }
    courier = Courier(
        DeliveryStore(database, office=uuid.uuid4().hex), {name: configured(name, config) for name, config in configs.items()}
    )
    gc.freeze()
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    courier.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    done.wait()
    courier.stop()
    database.close()


if __name__ == "__main__":
    main()

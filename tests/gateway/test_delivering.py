"""The part of the office that delivers, put together: what is wrong with one destination stops nothing."""

import threading
from contextlib import closing

from pydantic import model_serializer

from config.settings import Settings
from destinations.objects import FolderConfig
from gateway.delivering import Delivering
from recorder.pricing import Pricer
from storage.database import open_database
from storage.folder import DataFolder
from storage.spans import SpanStore
from tests.dashboard.conftest import until


class Odd(FolderConfig):
    """Settings of somebody else's, which cannot be written down."""

    @model_serializer
    def _written(self):
        raise KeyError("path")


def test_settings_that_cannot_be_compared_with_those_of_before_stop_nothing(tmp_path):
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    settings = Settings.model_validate({"storage": {"data": str(folder.path)}})
    settings.destinations["odd"] = Odd(path=tmp_path / "calls")
    with closing(open_database(f"sqlite:///{folder.database}")) as database:
        database.upgrade()
        delivering = Delivering(settings, database, SpanStore(database), folder, pricer=Pricer(dict, {}), places={})
        thread = threading.Thread(target=delivering.run)
        thread.start()
        try:
            until(lambda: delivering.courier.is_alive() or not thread.is_alive(), 30)
            assert thread.is_alive()
            assert delivering.courier.is_alive()
        finally:
            delivering.stop()
            thread.join(30)

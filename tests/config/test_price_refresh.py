"""`[price_refresh]`: off by default, and only over TLS."""

import pytest

from config.errors import SettingsError
from config.loading import load_settings


def loaded(tmp_path, text):
    path = tmp_path / "faregate.toml"
    path.write_text(text)
    return load_settings(path, {}, {}).settings.price_refresh


def test_it_is_off_until_a_url_is_named(tmp_path):
    assert loaded(tmp_path, "").url == ""


@pytest.mark.parametrize("url", ["https://mirror.example.com/data.json", "http://127.0.0.1:8000/data.json", "http://localhost/x"])
def test_a_mirror_is_anywhere_behind_tls_or_on_this_machine(tmp_path, url):
    found = loaded(tmp_path, f'[price_refresh]\nurl = "{url}"\nevery = "6h"\n')
    assert (found.url, found.every) == (url, 21_600)


@pytest.mark.parametrize(
    "url", ["http://example.com/data.json", "file:///etc/passwd", "https://", "https://me:secret@example.com/", "x"]
)
def test_anything_else_is_refused_and_the_field_named(tmp_path, url):
    with pytest.raises(SettingsError, match=r"price_refresh\.url") as refused:
        loaded(tmp_path, f'[price_refresh]\nurl = "{url}"\n')
    assert "secret" not in str(refused.value)


def test_it_is_not_fetched_all_the_time(tmp_path):
    with pytest.raises(SettingsError, match=r"price_refresh\.every"):
        loaded(tmp_path, '[price_refresh]\nevery = "1s"\n')

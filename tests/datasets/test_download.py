import hashlib
import logging
import os
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pooch
import pytest

from implicit_manifolds.datasets import download
from implicit_manifolds.datasets.download import VARIABLE, DataFile, fetch, find_local
from implicit_manifolds.errors import DataUnavailable, InputError

NAME = "earth/flood.csv"
CONTENT = b"lat,long\n1,2\n"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """No test leaves this machine: every address is unreachable and the cache is an empty folder."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    for name, entry in download.REGISTRY.items():
        if entry.url is not None:
            monkeypatch.setitem(download.REGISTRY, name, replace(entry, url="http://127.0.0.1:9/" + name))
    return tmp_path / "implicit-manifolds"


@pytest.fixture
def server(monkeypatch):
    """A server on this machine that answers every request with CONTENT, and counts them."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        entry = DataFile(hashlib.sha256(CONTENT).hexdigest(), f"http://127.0.0.1:{server.server_port}/flood.csv")
        monkeypatch.setitem(download.REGISTRY, NAME, entry)
        yield requests
        server.shutdown()
        thread.join()


def put(folder, content):
    (folder / NAME).parent.mkdir(parents=True)
    (folder / NAME).write_bytes(content)


def assert_one_sentence(error):
    message = str(error.value)
    assert NAME in message
    assert "\n" not in message
    assert ". " not in message


def test_a_file_in_the_users_folder_is_used_without_a_download(server, monkeypatch, tmp_path):
    put(tmp_path / "mine", CONTENT)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert fetch(NAME) == tmp_path / "mine" / NAME
    assert server == []


def test_a_wrong_checksum_in_the_users_folder_is_refused_and_the_file_left_alone(server, monkeypatch, tmp_path):
    put(tmp_path / "mine", CONTENT + b"3,4\n")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    with pytest.raises(DataUnavailable, match="sha256 differs") as error:
        fetch(NAME)
    assert_one_sentence(error)
    assert (tmp_path / "mine" / NAME).read_bytes() == CONTENT + b"3,4\n"
    assert server == []


def test_a_download_is_cached_and_made_once(server, cache):
    assert fetch(NAME) == fetch(NAME) == cache / NAME
    assert (cache / NAME).read_bytes() == CONTENT
    assert len(server) == 1


def test_a_download_goes_to_the_users_folder_where_it_is_writable(server, cache, monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert fetch(NAME) == tmp_path / "mine" / NAME
    assert not cache.exists()


def test_a_download_goes_to_the_cache_where_the_users_folder_is_not_writable(server, cache, monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # Root may write anywhere, so say it may not.
    assert fetch(NAME) == cache / NAME


def test_a_download_goes_to_the_cache_where_the_users_folder_does_not_exist(server, cache, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert fetch(NAME) == cache / NAME
    assert not (tmp_path / "mine").exists()


def test_a_download_with_a_wrong_checksum_is_refused_and_not_kept(server, cache, monkeypatch):
    monkeypatch.setitem(download.REGISTRY, NAME, replace(download.REGISTRY[NAME], sha256="0" * 64))
    with pytest.raises(DataUnavailable, match="sha256 differs") as error:
        fetch(NAME)
    assert_one_sentence(error)
    assert not (cache / NAME).exists()
    assert len(server) == 1


def test_a_damaged_cached_file_is_downloaded_again(server, cache):
    put(cache, b"")
    assert fetch(NAME).read_bytes() == CONTENT


def test_without_a_network_one_sentence_says_what_to_do_and_at_once(cache):
    start = time.monotonic()
    with pytest.raises(DataUnavailable, match=f"connect to the network, or set {VARIABLE} to a folder") as error:
        fetch(NAME)
    assert time.monotonic() - start < 5
    assert_one_sentence(error)
    assert not (cache / NAME).exists()


def test_without_a_network_a_cached_file_is_used(cache, monkeypatch):
    put(cache, CONTENT)
    entry = replace(download.REGISTRY[NAME], sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(download.REGISTRY, NAME, entry)
    assert fetch(NAME) == cache / NAME


def test_a_file_without_a_public_address_can_only_come_from_the_users_folder():
    assert find_local("dihedral/nine_mers.npz") is None
    with pytest.raises(DataUnavailable, match=f"set {VARIABLE} to a folder that holds it"):
        fetch("dihedral/nine_mers.npz")


def test_a_download_is_silent(server, capfd, monkeypatch):
    records = []
    monkeypatch.setattr(pooch.get_logger(), "handle", records.append)
    pooch.get_logger().setLevel(logging.INFO)
    fetch(NAME)
    assert records == []
    assert capfd.readouterr() == ("", "")


def test_an_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match=r"earth/fire\.csv, earth/flood\.csv"):
        fetch("earth/storm.csv")

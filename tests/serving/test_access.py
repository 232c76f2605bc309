"""Who may call the demo, and what."""

import json

import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.serving import access, bodies
from fastrecon_jax.serving.access import Limits, Request
from fastrecon_jax.serving.config import DemoConfig

HOST = {"host": "127.0.0.1:7860"}
META = {"_type": "gradio.FileData"}


@pytest.fixture
def limits(tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "a b.png").write_bytes(b"1")
    (tmp_path / "secret.png").write_bytes(b"2")
    (tmp_path / "uploads" / "link.png").symlink_to(tmp_path / "secret.png")
    return Limits(access.names("127.0.0.1", ()), tmp_path / "uploads", upload=1000, call=100)


def status(limits, path="/", method="GET", address="127.0.0.1", **headers):
    given = {"content-length": "10"} if method == "POST" else {}
    given |= HOST | {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = access.refusal(Request(method, path, given, address), limits)
    return refusal and refusal.status


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:7860", "127.0.0.1", "127.0.0.1:7860", "[::1]:7860", "localhost:9000"]
)
def test_the_names_of_loopback_are_answered(limits, host):
    assert status(limits, host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0:7860"),
        *("10.1.2.3", "", "localhost,evil.example", "a@localhost", "localhost:x", "localhost/", "[::1", "2130706433"),
    ],
)
def test_other_names_are_refused(limits, host):
    assert status(limits, host=host) == 400


def test_on_all_addresses_those_of_this_computer_and_names_that_are_given(limits):
    opened = limits._replace(names=access.names("0.0.0.0", ("Demo.Example", "fd00::1")))
    for host in ("localhost:1", "192.168.1.5:7860", "demo.example", "[fd00::1]"):
        assert status(opened, host=host, address="192.168.1.5") is None
    for host in ("evil.example", "192.168.1.6", "0.0.0.0"):
        assert status(opened, host=host, address="192.168.1.5") == 400
    assert status(opened, host="192.168.1.5", address="::ffff:192.168.1.5") is None
    assert status(limits._replace(names=access.names("0.0.0.0", ("*",))), host="evil.example") is None
    assert status(limits._replace(names=access.names("line3", ())), host="line3:7860") is None


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "https://127.0.0.1.evil.example", "http://localhost:7860", "http://127.0.0.1:3000"),
        *("http://127.0.0.1", "null", "", "file://", "chrome-extension://127.0.0.1:7860"),
    ],
)
@pytest.mark.parametrize("path", ["upload", "queue/join", "call/inspect", "cancel"])
def test_pages_of_other_origins_may_not_post(limits, origin, path):
    assert status(limits, f"/gradio_api/{path}", "POST", origin=origin) == 403
    assert status(limits, "/config", origin=origin) == 403


def test_pages_of_the_demo_and_programs_may(limits):
    for headers in ({}, {"origin": "http://127.0.0.1:7860"}, {"sec_fetch_site": "same-origin"}):
        assert status(limits, "/gradio_api/upload", "POST", **headers) is None
    assert status(limits, "/gradio_api/upload", "POST", host="localhost", origin="http://localhost:80") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_may_link_here_and_nothing_else(limits, site):
    opened = {"sec_fetch_site": site, "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert status(limits, "/", **opened) is None
    assert status(limits, "/", **(opened | {"sec_fetch_dest": "iframe"})) == 403
    assert status(limits, "/", **(opened | {"sec_fetch_mode": "no-cors"})) == 403
    assert status(limits, "/config", **opened) == 403
    assert status(limits, "/gradio_api/queue/data", sec_fetch_site=site) == 403
    assert status(limits, "/gradio_api/upload", "POST", **opened) == 403


@pytest.mark.parametrize(
    "path",
    [
        *("/openapi.json", "/docs", "/redoc", "/gradio_api/openapi.json", "/monitoring", "/login", "/gradio_api/runs"),
        *("/gradio_api/proxy=http://a.example/", "/file=http://a.example/", "/gradio_api/file/etc/passwd", "/mcp"),
        *("/gradio_api/component_server", "/gradio_api/vibe-code", "/gradio_api/dev/reload", "/assets/../../x"),
        *("/gradio_api/stream/a/1/2/playlist.m3u8", "/static/..\\x", "/gradio_api/token"),
    ],
)
def test_there_is_nothing_but_the_page_and_its_calls(limits, path):
    assert status(limits, path) == 404
    assert status(limits, path, "POST") == 404


def test_other_methods_are_refused(limits):
    assert {status(limits, "/", method) for method in ("PUT", "DELETE", "OPTIONS", "CONNECT")} == {405}


def test_files_are_those_of_the_demo(limits):
    folder = limits.directory
    assert status(limits, f"/gradio_api/file={folder}/a b.png") is None
    for path in ("/etc/passwd", f"{folder}/link.png", "uploads/a b.png", "http://a.example/x.png", f"{folder}\0"):
        assert status(limits, f"/gradio_api/file={path}") == 403
    assert status(limits, f"/gradio_api/file={folder}/../secret.png") == 404


def test_sizes_are_said_and_limited(limits):
    post = ("/gradio_api/upload", "POST")
    assert status(limits, *post, content_length="1000") is None
    assert status(limits, *post, content_length="1001") == 413
    assert status(limits, *post, content_length="") == 411
    assert status(limits, *post, content_length="-1") == 411
    assert status(limits, "/gradio_api/queue/join", "POST", content_length="101") == 413


def test_uploads_are_named_by_their_paths_alone(limits):
    path = str(limits.directory / "a b.png")
    call = {"data": [[{"path": path, "url": "http://a.example/x.png", "size": 3}], None], "session_hash": "s"}
    checked = json.loads(bodies.checked(json.dumps(call).encode(), limits.directory))
    assert checked == {"data": [[{"path": path, "url": None, "size": 3, "meta": META}], None], "session_hash": "s"}


@pytest.mark.parametrize(
    "file",
    [
        {"path": "http://a.example/x.png"},
        {"path": "HTTPS://a.example/x.png", "meta": META},
        {"url": "http://a.example/x.png"},
        {"path": None, "url": "http://a.example/x.png"},
        {"path": "/etc/passwd", "meta": META},
        {"path": "../secret.png"},
        {"path": ["/etc/passwd"]},
        {"path": ""},
    ],
)
def test_other_files_and_addresses_are_refused(limits, file):
    for call in ({"data": [file]}, {"data": [{"a": [[file]]}]}, {"image": file}, {"event_data": {"value": file}}):
        with pytest.raises(InputError, match="is not an uploaded file"):
            bodies.checked(json.dumps(call).encode(), limits.directory)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'"x"', b"[" * 100_000])
def test_calls_that_are_no_json_are_refused(limits, body):
    with pytest.raises(InputError, match="JSON"):
        bodies.checked(body, limits.directory)


@pytest.mark.parametrize("name", ["http://a.example", "a.example:80", "a/b", "", "a b"])
def test_allowed_hosts_are_names(name):
    with pytest.raises(InputError, match="--allowed_hosts="):
        DemoConfig(allowed_hosts=(name,))
    assert DemoConfig(allowed_hosts=("a.example", "10.0.0.1", "fd00::1", "*"))

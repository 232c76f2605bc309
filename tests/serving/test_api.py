"""The HTTP API of the demo, against a real process."""

import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from fastrecon_jax.api import FastRecon
from tests.serving.conftest import ROOT, Demo

pytest.importorskip("gradio", reason="needs Gradio, the extra demo")
gradio_client = pytest.importorskip("gradio_client")
httpx = pytest.importorskip("httpx")


@pytest.fixture
def client(running, tmp_path):
    # Each its own session. The answer's files go into a directory of the test.
    client = gradio_client.Client(running.url, verbose=False, download_files=tmp_path, analytics_enabled=False)
    yield client
    client.close()


def files(paths):
    return [gradio_client.handle_file(str(path)) for path in paths]


def refused(client, *arguments, **settings):
    with pytest.raises((gradio_client.exceptions.AppError, ValueError)) as error:
        client.predict(*arguments, **settings)
    return str(error.value)


def test_endpoints_have_names(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {"/fit", "/load", "/inspect"}
    assert not client.view_api(return_format="dict")["unnamed_endpoints"]


def test_fit_inspect_and_load(client, boards, tmp_path):
    known, file = client.predict(files(boards[:3]), "capsule", api_name="/fit")
    assert (known["part"], known["images"], known["method"]) == ("capsule", 3, "fastrecon+")
    assert known["warnings"]

    found, overlay = client.predict(*files(boards[3:]), None, api_name="/inspect")
    expected = FastRecon.fit(boards[:3])
    (finding,) = expected.inspect([boards[3]])
    assert found["part"] == "capsule"
    assert found["score"] == pytest.approx(finding.score, rel=1e-4)
    assert found["threshold"] == pytest.approx(expected.threshold, rel=1e-4)
    assert found["verdict"] == finding.verdict
    assert (found["width"], found["height"]) == (800, 600)
    assert pathlib.Path(overlay).read_bytes().startswith(b"\x89PNG")

    sharper, _ = client.predict(*files(boards[3:]), 0.9 * found["score"], api_name="/inspect")
    assert sharper["verdict"] == "defective" and sharper["regions"]
    assert FastRecon.load(file).score([boards[3]])[0] == pytest.approx(finding.score, rel=1e-4)

    other, _ = client.predict(*files([file]), api_name="/load")
    assert other | {"warnings": []} == known | {"warnings": []}


def test_sessions_do_not_see_each_others_parts(running, client, boards):
    client.predict(files(boards[:2]), "mine", api_name="/fit")
    other = gradio_client.Client(running.url, verbose=False, download_files=False, analytics_enabled=False)
    assert other.predict(*files(boards[3:]), None, api_name="/inspect")[0]["part"].startswith("gear (example)")
    assert client.predict(*files(boards[3:]), None, api_name="/inspect")[0]["part"] == "mine"
    other.close()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("text", "not an image"), ("empty", "not an image"), ("cut", "damaged"), ("large", "max_pixels=4000000")],
)
def test_bad_uploads_are_errors_and_the_server_goes_on(client, boards, bad_files, kind, reason):
    for call in (
        lambda: refused(client, files([boards[0], bad_files[kind]]), "part", api_name="/fit"),
        lambda: refused(client, *files([bad_files[kind]]), None, api_name="/inspect"),
    ):
        message = call()
        assert f"{kind}.png" in message and reason in message
    assert client.predict(*files(boards[3:]), None, api_name="/inspect")[0]["verdict"]


def test_too_many_too_large_and_no_images(client, boards, tmp_path):
    assert "--max_images=4" in refused(client, files(boards[:1] * 5), "part", api_name="/fit")
    assert "there is no image" in refused(client, [], "part", api_name="/fit")
    with pytest.raises(ValueError, match="exceeds the maximum file size"):
        client.predict(*files([large(tmp_path)]), None, api_name="/inspect")


def large(directory):
    file = directory / "large.png"
    file.write_bytes(b"\x89PNG" + bytes(3_000_000))
    return file


def test_a_large_upload_is_refused_by_the_server_too(running, tmp_path):
    with large(tmp_path).open("rb") as opened:
        answer = httpx.post(f"{running.url}/gradio_api/upload", files={"files": opened})
    assert answer.status_code == 413
    kept = (file for file in running.temporary.rglob("*") if file.is_file() and file.suffix != ".safetensors")
    assert max((file.stat().st_size for file in kept), default=0) < 3_100_000


@pytest.mark.parametrize("file", [ROOT / "docs" / "images" / "demo_gear.png", pathlib.Path(sys.executable)])
def test_other_files_of_the_server_cannot_be_had(running, file):
    assert httpx.get(f"{running.url}/gradio_api/file={file}").status_code == 403
    data = [{"path": str(file), "meta": {"_type": "gradio.FileData"}}, None]
    answer = httpx.post(f"{running.url}/gradio_api/call/inspect", json={"data": data})
    assert answer.status_code == 400 and "is not an uploaded file" in answer.json()["detail"]
    assert not list(running.temporary.rglob(file.name))


def test_a_name_that_leads_here_is_refused(running):
    for path in ("/", "/config", "/gradio_api/info", "/assets/x.js"):
        answer = httpx.get(running.url + path, headers={"Host": "evil.example"})
        assert answer.status_code == 400 and "--allowed_hosts=NAME" in answer.text


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_pages_elsewhere_upload_and_call_nothing(running, boards, headers):
    api, before = f"{running.url}/gradio_api", stored(running)
    with boards[0].open("rb") as opened:
        assert httpx.post(f"{api}/upload", files={"files": opened}, headers=headers).status_code == 403
    for path in ("call/inspect", "queue/join", "call/v2/inspect"):
        # As a form of another page can send it, without asking before.
        sent = headers | {"Content-Type": "text/plain"}
        assert httpx.post(f"{api}/{path}", content=b'{"data": []}', headers=sent).status_code == 403
    for path in ("queue/data?session_hash=a", "heartbeat/a", "info"):
        assert httpx.get(f"{api}/{path}", headers=headers).status_code == 403
    assert stored(running) == before
    own = {"Origin": running.url, "Sec-Fetch-Site": "same-origin"}
    with boards[0].open("rb") as opened:
        assert httpx.post(f"{api}/upload", files={"files": opened}, headers=own).status_code == 200


def stored(running):
    return sorted(file for file in running.temporary.rglob("*") if file.is_file())


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc", "/gradio_api/openapi.json", "/gradio_api/runs"])
def test_nothing_describes_the_server_to_others(running, path):
    assert httpx.get(running.url + path).status_code == 404


def test_no_websocket(running):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "a"}
    for path in ("/", "/gradio_api/queue/join", "/queue/join"):
        assert httpx.get(running.url + path, headers=upgrade).status_code in (200, 404)  # no 101


def uploaded(running, file):
    """The path of an upload on the server."""
    files = {"files": ("x.png", file.read_bytes())}
    return httpx.post(f"{running.url}/gradio_api/upload", files=files, timeout=60, trust_env=False).json()[0]


def called(running, name, body):
    """What a call by its name answers, the body given as text."""
    calls = f"{running.url}/gradio_api/call/{name}"
    sent = {"content": body, "headers": {"Content-Type": "application/json"}, "timeout": 60, "trust_env": False}
    answer = httpx.post(calls, **sent)
    if answer.status_code != 200:
        return answer.text
    return httpx.get(f"{calls}/{answer.json()['event_id']}", timeout=120, trust_env=False).text


def test_the_server_fetches_nothing_that_a_caller_names(running, boards):
    own = uploaded(running, boards[3])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(1)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/x.png"
        for url in (address, "http://fetch-me.example/x.png"):
            for file in ({"path": url}, {"url": url}, {"path": url, "meta": {"_type": "gradio.FileData"}}):
                for path, body in calls_with(file):
                    answer = httpx.post(f"{running.url}/gradio_api/{path}", json=body, timeout=60)
                    assert answer.status_code == 400 and "is not an uploaded file" in answer.json()["detail"]
            assert "event: error" in called(running, "inspect", json.dumps({"data": [url, None]}))
            for path in ("gradio_api/proxy=", "gradio_api/file=", "file=", "gradio_api/file/"):
                assert httpx.get(f"{running.url}/{path}{url}").status_code in (403, 404)
            # An address beside the path of an upload, as Gradio's clients send it, is left alone.
            assert "verdict" in called(running, "inspect", json.dumps({"data": [{"path": own, "url": url}, None]}))
        with pytest.raises(TimeoutError):
            listening.accept()
    assert "fetch-me.example" not in running.connections.read_text()


def calls_with(file):
    """Each way to each endpoint, private ones included."""
    for name, data in (("inspect", [file, None]), ("fit", [[file], "x"]), ("load", [file])):
        yield f"call/{name}", {"data": data}
        yield f"call/v2/{name}", {"param_0": data[0]}
    for index in range(9):
        yield "queue/join", {"data": [file], "fn_index": index, "session_hash": "q"}


@pytest.mark.parametrize("threshold", ["NaN", "Infinity", "-Infinity", "1e999", '"0.5"', '"nan"', "[1]", "true", "{}"])
def test_a_threshold_is_a_finite_number(running, boards, threshold):
    body = f'{{"data": [{{"path": "{uploaded(running, boards[3])}"}}, {threshold}]}}'
    answer = called(running, "inspect", body)
    assert "event: error" in answer and "the threshold must be a finite number, not" in answer
    assert "verdict" not in answer and "not supported between" not in answer


def test_what_is_stored_is_limited_and_proxies_are_not_asked(tmp_path, boards):
    # No proxy answers, and Gradio's clients cannot even be made with some of them.
    demo = Demo(tmp_path, "--max_stored_mb=10", **PROXIES)
    try:
        large = {"files": ("x.png", bytes(10_000_000))}
        answer = httpx.post(f"{demo.url}/gradio_api/upload", files=large, trust_env=False, timeout=60)
        assert answer.status_code == 507 and "--max_stored_mb" in answer.text
        assert httpx.get(demo.url, trust_env=False, timeout=60).status_code == 200
        own = uploaded(demo, boards[3])
        assert "verdict" in called(demo, "inspect", json.dumps({"data": [{"path": own}, None]}))
    finally:
        demo.end()


PROXIES = {
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "all_proxy": "socks5h://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "https://127.0.0.1:9",
}


def test_it_ends_on_sigterm_and_leaves_nothing(tmp_path, boards):
    demo = Demo(tmp_path, "--open_browser=false")
    client = gradio_client.Client(demo.url, verbose=False, download_files=False, analytics_enabled=False)
    client.predict(files(boards[:2]), "part", api_name="/fit")
    (directory,) = demo.temporary.iterdir()
    assert any(directory.rglob("*.png")) and any(directory.rglob("*.safetensors"))
    client.close()
    assert demo.end() == 0
    assert not list(demo.temporary.iterdir())
    assert "Traceback" not in demo.said
    places = {line for line in demo.connections.read_text().splitlines() if "127.0.0.1" not in line}
    assert not places, "the demo looked for something elsewhere"


def test_ctrl_c_while_it_gets_ready(tmp_path):
    command = [sys.executable, "-m", "fastrecon_jax.demo", "--port=0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert "getting ready" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.communicate(timeout=60)[0]
    assert process.returncode in (0, 130)


def told(*flags):
    command = [sys.executable, "-m", "fastrecon_jax.demo", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, message = told(f"--port={port}")
    assert code == 2 and f"--port={port} is taken" in message


def test_a_missing_part_and_an_unknown_address(tmp_path):
    code, message = told("--port=0", f"--model={tmp_path}/no.safetensors")
    assert code == 2 and "no.safetensors is not a file" in message
    code, message = told("--port=0", "--host=256.1.1.1")
    assert code == 2 and "--host=256.1.1.1" in message


def test_another_address_is_warned_of_and_a_part_of_ones_own_opens(tmp_path, boards):
    FastRecon.fit(boards[:2], name="mine").save(tmp_path / "mine.safetensors")
    demo = Demo(tmp_path, "--host=0.0.0.0", "--allowed_hosts=line3.example", f"--model={tmp_path}/mine.safetensors")
    try:
        assert "everyone who reaches this port can use the demo" in demo.said
        assert "answers to localhost, 127.0.0.1, ::1 and this computer's IP addresses, line3.example;" in demo.said
        port = demo.url.rpartition(":")[2]
        for host, code in (("localhost", 200), ("127.0.0.1", 200), ("line3.example", 200), ("evil.example", 400)):
            assert httpx.get(f"{demo.url}/config", headers={"Host": f"{host}:{port}"}).status_code == code
        client = gradio_client.Client(demo.url, verbose=False, download_files=False, analytics_enabled=False)
        assert client.predict(*files(boards[3:]), None, api_name="/inspect")[0]["part"] == "mine"
        client.close()
    finally:
        demo.end()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_as_documented(running, boards):
    script = f"""
    set -e
    url={running.url}/gradio_api session=test1
    upload() {{ curl -sf -F "files=@$1" $url/upload | tr -d '[]"'; }}
    file() {{ printf '{{"path": "%s", "meta": {{"_type": "gradio.FileData"}}}}' "$(upload "$1")"; }}
    call() {{ id=$(curl -sf $url/call/$1 -H 'Content-Type: application/json' -d "$2" | cut -d'"' -f4); \
      curl -sfN $url/call/$1/$id; }}
    good="$(file '{boards[0]}'), $(file '{boards[1]}')"
    call fit "{{\\"session_hash\\": \\"$session\\", \\"data\\": [[$good], \\"x\\"]}}"
    call inspect "{{\\"session_hash\\": \\"$session\\", \\"data\\": [$(file '{boards[3]}'), null]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.count("event: complete") == 2, done.stdout
    assert '"part": "x"' in done.stdout and '"verdict"' in done.stdout

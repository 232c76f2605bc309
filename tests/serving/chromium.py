"""A headless Chromium, driven by its own debugging protocol through a socket: no driver, no download."""

import base64
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find():
    """The browser's path; None where there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.contextmanager
def browser(*, width=1280, height=1000):
    """A page of a browser with a profile of its own, both gone at the end."""
    from websockets.sync.client import connect

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        arguments = [
            find(),
            "--headless=new",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            "--no-sandbox",  # which root may not use
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            "about:blank",
        ]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(pathlib.Path(profile)), max_size=None) as channel:
                yield Page(channel, width=width, height=height)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _address(profile, timeout=60):
    """Of the page's socket, once the browser has written its port."""
    port = waited(lambda: (profile / "DevToolsActivePort").read_text().split()[0], timeout=timeout)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=timeout) as answer:
        return next(one["webSocketDebuggerUrl"] for one in json.load(answer) if one["type"] == "page")


def waited(look, *, timeout=60):
    """What `look` gives once it gives something; errors count as nothing."""
    end = time.monotonic() + timeout
    while True:
        try:
            if found := look():
                return found
        except (OSError, IndexError, LookupError):
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"nothing within {timeout} s")
        time.sleep(0.1)


class Page:
    """One page.

    Attributes:
        requested: addresses that the page asked for.
        messages: errors of its console.
    """

    def __init__(self, channel, *, width, height):
        self._channel, self._numbers = channel, itertools.count(1)
        self.requested, self.messages = [], []
        for domain in ("Network", "Page", "Runtime", "DOM", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def call(self, method, **parameters):
        """One call of the protocol."""
        number = next(self._numbers)
        self._channel.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._channel.recv(timeout=60))
            self._note(message)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    def _note(self, message):
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(parameters["request"]["url"])
        if message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.messages.append(parameters["entry"]["text"])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def evaluate(self, script):
        """The value of an expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script, *, timeout=60):
        """The value of an expression once it is true."""
        try:
            return waited(lambda: self.evaluate(script), timeout=timeout)
        except TimeoutError:
            text = self.evaluate("document.body.innerText")
            raise TimeoutError(f"{script} stays false; the page says:\n{text}\n{self.messages}") from None

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def click(self, selector):
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def upload(self, selector, *files):
        """Choose files in a file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        assert node, f"there is no {selector}"
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def download(self, selector, directory):
        """Click, and give the file that the browser then writes."""
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(directory))
        self.click(selector)
        return waited(lambda: next((file for file in directory.iterdir() if file.suffix != ".crdownload"), None))

    def type_into(self, selector, value):
        """Set an input as a user would, with its events."""
        self.evaluate(
            f"""(() => {{
                const one = document.querySelector({json.dumps(selector)});
                Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(one, {value!r});
                for (const kind of ['input', 'change', 'pointerup'])
                    one.dispatchEvent(new Event(kind, {{bubbles: true}}));
            }})()"""
        )

    def screenshot(self, *, height=None):
        """The page as PNG, from its top."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(found["data"])

"""As much of a model hub as a download needs, on this machine: hash, commit and length of a file, or an error code."""

import hashlib
import http.server
import threading

COMMIT = "c" * 40
# By the owner in the address: status and error code.
REFUSALS = {
    "absent": (404, "RepoNotFound"),
    "gated": (401, "GatedRepo"),
    "waiting": (403, "GatedRepo"),
    "old": (404, "RevisionNotFound"),
    "empty": (404, "EntryNotFound"),
}


class Hub(http.server.BaseHTTPRequestHandler):
    """Owners of `REFUSALS` refuse; `cut` sends half of the file, `changed` others bytes than it names."""

    def do_GET(self):
        owner, body = self.path.split("/")[1], self.server.body
        self.server.requests.append((self.command, self.path))
        status, code = REFUSALS.get(owner, (200, ""))
        getting, digest, length = self.command == "GET", hashlib.sha256(body).hexdigest(), len(body)
        if owner == "cut" and getting:
            body = body[: length // 2]
        if owner == "changed":
            body = body[:-1] + bytes([body[-1] ^ 1])
        self.send_response(status)
        self.send_header("Content-Length", str(0 if code else len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        else:
            self.send_header("ETag", f'"{digest}"')
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if getting and not code:
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815, the name that http.server looks for

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    """Serves `body` as every file of every repository, and keeps what was asked for."""

    def __init__(self, body):
        super().__init__(("127.0.0.1", 0), Hub)
        self.body, self.requests = body, []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever)
        self._thread.start()

    def stop(self):
        if self._thread.is_alive():
            self.shutdown()
            self.server_close()
            self._thread.join()

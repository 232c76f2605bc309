"""The demo's web server: this computer alone by default, nothing fetched from elsewhere, nothing left behind."""

import errno
import logging
import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.encoders import licences
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts.engine import open_engine
from fastrecon_jax.serving import access, engines, gate, workspaces
from fastrecon_jax.serving.config import DemoConfig
from fastrecon_jax.serving.gate import Application
from fastrecon_jax.serving.uploads import Accepted
from fastrecon_jax.serving.workspaces import Service, Workspace

Tell = Callable[[str], object]
_MISSING = 'the demo needs Gradio, the extra "demo": run `pip install -e ".[demo]"`'
_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_SSR_MODE": "False",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
_SHUTDOWN = 1  # seconds for open connections at the end


def serve(config: DemoConfig, *, tell: Tell) -> None:
    """Fit the example or open a part, and serve the page until Ctrl-C; `tell` takes lines for people.

    InputError if the address cannot be had, the part cannot be opened, or Gradio is missing.
    """
    with bound(config.host, config.port) as listening, _directory() as directory:
        os.environ.update(_QUIET, GRADIO_TEMP_DIR=str(directory))
        with _without_proxies():
            _require_gradio()
        tell("getting ready: the encoder is loaded and an example fitted, a few seconds\n")
        engine = open_engine(engines.recipe(config))
        tell(licences.notice(engine.encoder))
        service = Service(
            engine=engine,
            open_engine=engines.opener(engine),
            accepted=Accepted(config.max_images, config.max_pixels),
            rate=config.target_fpr,
            directory=directory / "parts",
        )
        _serve(config, listening, _application(config, service, directory), tell)


def _first(config: DemoConfig, service: Service) -> Workspace:
    if not config.model:
        return workspaces.example(service)
    file = files.expanded(config.model, "model")
    return workspaces.opened(service, file, engines.opener(service.engine, trusted=True))


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any that is free; InputError if the address is unknown, taken or not allowed."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host={host} is no address of this computer: {error}") from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"--port={port} is taken by another program: pass another, or 0 for a free one") from None
        name = "host" if error.errno == errno.EADDRNOTAVAIL else "port"
        value = host if name == "host" else port
        raise InputError(f"--{name}={value} cannot be listened on: {files.reason(error)}") from None
    return listening


@contextmanager
def _directory() -> Iterator[Path]:
    """For all that is uploaded and made, gone at the end, also after SIGTERM and a closed terminal."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), _interrupt) for name in names}
    try:
        with tempfile.TemporaryDirectory(prefix="fastrecon_demo_", ignore_cleanup_errors=True) as directory:
            yield Path(directory)
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _require_gradio() -> None:
    try:
        import gradio  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(f"{_MISSING} ({error.name} is missing)") from None


@contextmanager
def _without_proxies() -> Iterator[None]:
    """Gradio opens HTTP clients as it is imported, which it never needs here and cannot have with some proxies."""
    set_aside = {name: os.environ.pop(name) for name in list(os.environ) if name.lower().endswith("_proxy")}
    try:
        yield
    finally:
        os.environ.update(set_aside)


def _serve(config: DemoConfig, listening: socket.socket, application: Application, tell: Tell) -> None:
    import uvicorn

    url = _url(config.host, listening.getsockname()[1])

    class Server(uvicorn.Server):
        """Says where it is once it is there, and is silent at its end."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            for sentence in _who_may_reach(config):
                tell(f"warning: {sentence}\n")
            tell(f"the demo is on {url} (Ctrl-C ends it)\n")
            if config.open_browser:
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # connections of open pages are cut off
            await super().shutdown(sockets)

    settings = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_SHUTDOWN,
        ws="none",
    )
    try:
        Server(settings).run(sockets=[listening])
    except KeyboardInterrupt:
        tell("the demo has ended\n")


def _application(config: DemoConfig, service: Service, directory: Path) -> Application:
    limits = access.Limits(
        names=access.names(config.host, config.allowed_hosts),
        directory=directory,
        # All photographs at once, and what stands around them.
        upload=config.max_images * config.max_upload_mb * 10**6 + 10**6,
    )
    first = _first(config, service)
    with _without_proxies():
        return gate.Gate(_gradio(config, service, first), limits, config.max_stored_mb * 10**6)


def _gradio(config: DemoConfig, service: Service, first: Workspace) -> Application:
    import fastapi
    import gradio

    from fastrecon_jax.serving import page

    return gradio.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page.build(service, first),
        path="/",
        footer_links=["api"],
        show_error=False,  # but a user's mistakes are
        run_history=False,
        max_file_size=config.max_upload_mb * 10**6,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=page.theme(),
        css_paths=[page.STYLE],
        head=f"<script>{page.SCRIPT.read_text(encoding='utf-8')}</script>",
    )


def _who_may_reach(config: DemoConfig) -> Iterator[str]:
    if not access.is_loopback(config.host):
        named = ", ".join([access.local_names(config.host), *config.allowed_hosts])
        yield (
            f"--host={config.host}: everyone who reaches this port can use the demo; there is no password and no "
            f"encryption. It answers to {named}; to other names with --allowed_hosts"
        )
    if access.ANY in config.allowed_hosts:
        yield "--allowed_hosts=*: pages of other sites may use the demo through the browsers of all who can reach it"


def _url(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else shown}:{port}"

"""The page and the HTTP API of the demo, with Gradio; what they do is in `workspaces`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from fastrecon_jax.data.images import ENDINGS
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import part_file
from fastrecon_jax.serving import html, workspaces
from fastrecon_jax.serving.html import Content
from fastrecon_jax.serving.workspaces import Service, Workspace

STYLE = Path(__file__).with_name("page.css")
_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
_MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
_KEPT = 3600  # seconds that a visitor's part and uploads are kept
_VISITORS = 8
_WAITING = 32
_CLEARED = "the part that you used has been cleared away, as all are after an hour or when others come: fit it again"
_HEADER = """<header><h1>Find defects from a few good photographs</h1>
<p>Show it 1 to 8 photographs of good parts. Seconds later it scores any photograph of that part and shows where it
deviates. No training, no defective samples; nothing leaves this computer.</p></header>"""


def theme() -> gr.themes.Base:
    """Colours and fonts; the fonts are those of the system, so that nothing is fetched."""
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        font=_SANS,
        font_mono=_MONO,
    )


def build(service: Service, first: Workspace) -> gr.Blocks:
    """The page, not served yet; each visitor finds the first workspace."""
    shown = html.content(first)
    with gr.Blocks(title="fastrecon_jax demo", analytics_enabled=False, delete_cache=(60, _KEPT)) as page:
        state, token = gr.State(None, time_to_live=_KEPT), gr.Textbox("", visible=False)
        _html(_HEADER)
        with gr.Row(elem_classes="steps"):
            with gr.Column(scale=4, min_width=340):
                good, name, model = _inputs(service)
                part = _html(shown.part)
                download = gr.DownloadButton(
                    "Download this part (.safetensors)", str(first.file), size="sm", elem_id="download"
                )
            with gr.Column(scale=8, min_width=420):
                _html("<h2><b>2</b> The photograph to inspect</h2>")
                query = gr.File(
                    label="Photograph to inspect",
                    show_label=False,
                    file_types=list(ENDINGS),
                    height=136,
                    elem_id="query",
                )
                verdict = _html(shown.verdict)
                with gr.Row(elem_classes="threshold"):
                    slider = _slider(shown, scale=6, elem_id="threshold")
                    reset = gr.Button("As calibrated", size="sm", scale=1, min_width=120, elem_id="reset")
                picture, regions = _html(shown.picture), _html(shown.regions)

        result = [verdict, picture, regions, slider]
        everything = [state, token, part, download, *result]
        calls = _Calls(service, first)
        work = {"concurrency_id": "work", "concurrency_limit": 1, "api_visibility": "private"}
        quick = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
        good.change(calls.fit, [good, name, query, state], everything, **work)
        model.change(calls.load, [model, query, state], everything, **work)
        query.change(calls.inspect, [query, state, token], [state, *result], **work)
        slider.input(calls.move, [slider, state, token], result, **quick)
        reset.click(calls.reset, [state, token], result, **quick)
        gr.on([name.submit, name.blur], calls.rename, [name, state, token], [state, token, part, download], **quick)
        _api(calls, state)
    page.state_session_capacity = _VISITORS
    page.has_launched = True  # else, mounted, Gradio would take any path of the server for an upload
    return page.queue(max_size=_WAITING, default_concurrency_limit=1)


def _html(value: str) -> gr.HTML:
    return gr.HTML(value, padding=False)


def _inputs(service: Service) -> tuple[gr.File, gr.Textbox, gr.File]:
    _html(f"<h2><b>1</b> Good parts <small>a few photographs, at most {service.accepted.images}</small></h2>")
    good = gr.File(
        label="Photographs of good parts",
        show_label=False,
        file_count="multiple",
        file_types=list(ENDINGS),
        height=136,
        elem_id="good",
    )
    with gr.Accordion("Name it, or open a part from its file", open=False):
        name = gr.Textbox("", label="Name of the part", placeholder="part", max_lines=1, max_length=80, elem_id="name")
        model = gr.File(label="File of a part", file_types=[part_file.SUFFIX], height=136, elem_id="model")
    return good, name, model


def _slider(shown: Content, **place: Any) -> gr.Slider:
    low, high, step, value = shown.slider
    return gr.Slider(
        low,
        high,
        round(value / step) * step,
        step=step,
        label="Threshold: drag it, and verdict and regions follow",
        info=shown.rate,
        buttons=[],
        **place,
    )


def _api(calls: "_Calls", state: gr.State) -> None:
    """Named endpoints for programs, without any place on the page."""
    files = gr.File(file_count="multiple", file_types=list(ENDINGS), visible=False, label="images")
    model = gr.File(file_types=[part_file.SUFFIX], visible=False, label="model")
    image = gr.File(file_types=list(ENDINGS), visible=False, label="image")
    name = gr.Textbox("part", visible=False, label="name")
    threshold = gr.Number(None, visible=False, label="threshold")
    facts, file = gr.JSON(visible=False, label="result"), gr.File(visible=False, label="file")
    overlay = gr.Image(visible=False, label="overlay", format="png")
    hidden = gr.Button(visible=False)
    work = {"concurrency_id": "work", "concurrency_limit": 1}
    hidden.click(calls.api_fit, [files, name], [facts, file, state], api_name="fit", **work)
    hidden.click(calls.api_load, [model], [facts, file, state], api_name="load", **work)
    hidden.click(calls.api_inspect, [image, threshold, state], [facts, overlay, state], api_name="inspect", **work)


def _reports_mistakes(call: Callable[..., Any]) -> Callable[..., Any]:
    """A user's mistake as a message on the page and an error of the API; the server goes on."""

    def reporting(self: "_Calls", *arguments: Any) -> Any:
        try:
            return call(self, *arguments)
        except InputError as error:
            raise gr.Error(str(error), duration=None, title="That cannot be used", print_exception=False) from None

    reporting.__doc__ = call.__doc__
    return reporting


class _Calls:
    """What happens on events: from values of the page to values of the page."""

    def __init__(self, service: Service, first: Workspace):
        self._service, self._first = service, first

    def _workspace(self, state: Workspace | None, token: str) -> Workspace:
        """The visitor's workspace; the browser remembers whether there should be another than the first."""
        if (state.token if state else "") != token:
            raise InputError(_CLEARED)
        return state or self._first

    def _everything(self, workspace: Workspace, query: str | None) -> tuple[Any, ...]:
        if query:
            workspace = workspaces.inspect(self._service, workspace, query)
        part = html.part(workspace)
        return workspace, workspace.token, part, str(workspace.file), *self._result(workspace)

    def _result(self, workspace: Workspace, threshold: float | None = None) -> tuple[Any, ...]:
        shown = html.content(workspace, threshold)
        return shown.verdict, shown.picture, shown.regions, _slider(shown)

    @_reports_mistakes
    def fit(self, good: list[str] | None, name: str | None, query: str | None, state: Workspace | None) -> Any:
        """Fit a part as soon as photographs are there."""
        if not good:
            return gr.skip()
        return self._everything(workspaces.fit(self._service, good, name=name or ""), query)

    @_reports_mistakes
    def load(self, model: str | None, query: str | None, state: Workspace | None) -> Any:
        """Open an uploaded part."""
        return self._everything(workspaces.load(self._service, model), query) if model else gr.skip()

    @_reports_mistakes
    def inspect(self, query: str | None, state: Workspace | None, token: str) -> Any:
        """Inspect a photograph as soon as it is there."""
        if not query:
            return gr.skip()
        workspace = workspaces.inspect(self._service, self._workspace(state, token), query)
        return workspace, *self._result(workspace)

    @_reports_mistakes
    def move(self, threshold: float, state: Workspace | None, token: str) -> Any:
        """Judge by another threshold."""
        return self._result(self._workspace(state, token), threshold)

    @_reports_mistakes
    def reset(self, state: Workspace | None, token: str) -> Any:
        """Judge by the calibrated threshold again."""
        return self._result(self._workspace(state, token))

    @_reports_mistakes
    def rename(self, name: str | None, state: Workspace | None, token: str) -> Any:
        """Call the part by another name."""
        workspace = self._workspace(state, token)
        if not state or not name or name.strip() in ("", workspace.part.name):
            return gr.skip()
        workspace = workspaces.rename(self._service, workspace, name)
        return workspace, workspace.token, html.part(workspace), str(workspace.file)

    @_reports_mistakes
    def api_fit(self, images: list[str] | None, name: str | None) -> Any:
        """Fit a part on good photographs and use it in this session. Gives what is known of it, and its file."""
        workspace = workspaces.fit(self._service, images or [], name=name or "")
        return workspaces.facts(workspace), str(workspace.file), workspace

    @_reports_mistakes
    def api_load(self, model: str | None) -> Any:
        """Use a part from its file in this session. Gives what is known of it, and the file."""
        if not model:
            raise InputError("there is no file of a part")
        workspace = workspaces.load(self._service, model)
        return workspaces.facts(workspace), str(workspace.file), workspace

    @_reports_mistakes
    def api_inspect(self, image: str | None, threshold: float | None, state: Workspace | None) -> Any:
        """Inspect a photograph by this session's part, at first the one that the demo opened with.

        Gives verdict, score, p-value and regions, and the overlay.
        """
        if not image:
            raise InputError("there is no image to inspect")
        workspace = workspaces.inspect(self._service, state or self._first, image)
        finding = workspaces.judge(workspace, threshold)
        facts = workspaces.finding_facts(workspace, finding, threshold)
        return facts, workspaces.draw(workspace, finding), workspace

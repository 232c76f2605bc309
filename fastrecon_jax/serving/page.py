"""The page and the HTTP API of the demo, with Gradio; what happens on them is in `calls`."""

from pathlib import Path
from typing import Any

import gradio as gr

from fastrecon_jax.data.picture_files import ENDINGS
from fastrecon_jax.parts import part_file
from fastrecon_jax.serving import html
from fastrecon_jax.serving.calls import Calls, fresh, slider
from fastrecon_jax.serving.workspaces import Service, Workspace

STYLE, SCRIPT = (Path(__file__).with_name(name) for name in ("page.css", "page.js"))
_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
_MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
_KEPT = 3600  # seconds that a visitor's part and uploads are kept
_VISITORS = 8
_WAITING = 32
_REASON = "(reason, state) => [window.failedUpload ?? '', state]"
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
            with gr.Column(scale=4, min_width=320):
                good, name, model = _inputs(service)
                part = _html(shown.part)
                download = gr.DownloadButton(
                    "Download this part (.safetensors)", str(first.file), size="sm", elem_id="download"
                )
            with gr.Column(scale=8, min_width=320):
                _html("<h2><b>2</b> The photograph to inspect</h2>")
                query = gr.File(
                    label="Photograph to inspect",
                    show_label=False,
                    file_types=list(ENDINGS),
                    height=136,
                    elem_id="query",
                )
                verdict = _html(fresh(shown.verdict), elem_id="verdict")
                _html(html.UPLOADING)
                with gr.Row(elem_classes="threshold"):
                    limit = slider(shown, scale=6, elem_id="threshold")
                    reset = gr.Button("As calibrated", size="sm", scale=1, min_width=120, elem_id="reset")
                picture = _html(shown.picture, elem_classes="of-verdict")
                regions = _html(shown.regions, elem_classes="of-verdict")
        # For page.js, which sees uploads that fail before they are here.
        reason, lost = gr.Textbox("", visible=False), gr.Button(visible="hidden", elem_id="lost")

        result = [verdict, picture, regions, limit]
        everything = [state, token, part, download, *result]
        calls = Calls(service, first)
        work = {"concurrency_id": "work", "concurrency_limit": 1, "api_visibility": "private"}
        quick = {"show_progress": "hidden", "api_visibility": "private", "trigger_mode": "always_last"}
        good.change(calls.fit_part, [good, name, query, state], everything, **work)
        model.change(calls.open_part, [model, query, state], everything, **work)
        query.change(calls.inspect_photograph, [query, state, token], [state, *result], **work)
        limit.input(calls.move, [limit, state, token], result, **quick)
        reset.click(calls.reset, [state, token], result, **quick)
        gr.on([name.submit, name.blur], calls.rename, [name, state, token], [state, token, part, download], **quick)
        lost.click(calls.lost, [reason, state], [state, *result], js=_REASON, **quick)
        _api(calls, state)
    page.state_session_capacity = _VISITORS
    page.has_launched = True  # else, mounted, Gradio would take any path of the server for an upload
    return page.queue(max_size=_WAITING, default_concurrency_limit=1)


def _html(value: str, **place: Any) -> gr.HTML:
    return gr.HTML(value, padding=False, **place)


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


def _api(calls: Calls, state: gr.State) -> None:
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

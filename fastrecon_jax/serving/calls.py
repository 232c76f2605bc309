"""What happens on the events of the page and the calls of the API: from their values to those of the page."""

import itertools
from collections.abc import Callable
from typing import Any

import gradio as gr

from fastrecon_jax.errors import InputError
from fastrecon_jax.serving import html, workspaces
from fastrecon_jax.serving.html import Content
from fastrecon_jax.serving.workspaces import Service, Workspace

_CLEARED = "the part that you used has been cleared away, as all are after an hour or when others come: fit it again"
_SERIAL = itertools.count()


def fresh(verdict: str) -> str:
    """The same with a number, by which the page knows that it is another one, even in the same words."""
    return f'<div data-serial="{next(_SERIAL)}">{verdict}</div>'


def slider(shown: Content, **place: Any) -> gr.Slider:
    """The slider of the threshold, around all scores."""
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


def _reports_mistakes(call: Callable[..., Any]) -> Callable[..., Any]:
    """A user's mistake as a message on the page and an error of the API; the server goes on."""

    def reporting(self: "Calls", *arguments: Any) -> Any:
        try:
            return call(self, *arguments)
        except InputError as error:
            raise gr.Error(str(error), duration=None, title="That cannot be used", print_exception=False) from None

    reporting.__doc__ = call.__doc__
    return reporting


class Calls:
    """What happens on events: from values of the page to values of the page."""

    def __init__(self, service: Service, first: Workspace):
        self._service, self._first = service, first

    def _workspace(self, state: Workspace | None, token: str) -> Workspace:
        """The visitor's workspace; the browser remembers whether there should be another than the first."""
        if (state.token if state else "") != token:
            raise InputError(_CLEARED)
        return state or self._first

    def _everything(self, workspace: Workspace, query: str | None) -> tuple[Any, ...]:
        """All that the page shows of a new part, which stays in use if the photograph cannot be used."""
        workspace, *result = self._inspected(workspace, query)
        return workspace, workspace.token, html.part(workspace), str(workspace.file), *result

    def _inspected(self, workspace: Workspace, query: str | None) -> tuple[Any, ...]:
        """The workspace with another photograph, or with none, and what the page shows of that."""
        if not query:
            workspace = workspace._replace(image=None)
            return workspace, *self._result(workspace)
        try:
            workspace = workspaces.inspect(self._service, workspace, query)
        except InputError as error:
            return self._without(workspace, "Not inspected", str(error))
        return workspace, *self._result(workspace)

    def _without(self, workspace: Workspace | None, title: str, reason: str) -> tuple[Any, ...]:
        """No photograph and no verdict, in place of those that the visitor may take for the new ones."""
        workspace = workspace and workspace._replace(image=None)
        return workspace, fresh(html.failed(title, reason)), "", "", gr.skip()

    def _result(self, workspace: Workspace, threshold: float | None = None) -> tuple[Any, ...]:
        shown = html.content(workspace, threshold)
        return fresh(shown.verdict), shown.picture, shown.regions, slider(shown)

    def _changed(self, make: Callable[[], Workspace], query: str | None, state: Workspace | None, title: str) -> Any:
        """What the page shows of another part; if there is none, the one before stays, without a verdict."""
        try:
            workspace = make()
        except InputError as error:
            before = state or self._first
            reason = f"{error}. The part in use is still {before.part.name}"
            workspace, *result = self._without(before, title, reason)
            return workspace, gr.skip(), gr.skip(), gr.skip(), *result
        return self._everything(workspace, query)

    def fit_part(self, good: list[str] | None, name: str | None, query: str | None, state: Workspace | None) -> Any:
        """Fit a part as soon as photographs are there."""
        if not good:
            return gr.skip()
        return self._changed(
            lambda: workspaces.fit(self._service, good, name=name or ""), query, state, "No part was fitted"
        )

    def open_part(self, model: str | None, query: str | None, state: Workspace | None) -> Any:
        """Open an uploaded part."""
        if not model:
            return gr.skip()
        return self._changed(lambda: workspaces.load(self._service, model), query, state, "No part was opened")

    def inspect_photograph(self, query: str | None, state: Workspace | None, token: str) -> Any:
        """Inspect a photograph as soon as it is there; without one there is no verdict."""
        try:
            workspace = self._workspace(state, token)
        except InputError as error:
            return self._without(state, "Not inspected", str(error))
        return self._inspected(workspace, query)

    def lost(self, reason: str, state: Workspace | None) -> Any:
        """Take the verdict away, as another upload has failed on its way."""
        return self._without(state or self._first, "The upload failed", reason or "it did not arrive")

    @_reports_mistakes
    def move(self, threshold: float, state: Workspace | None, token: str) -> Any:
        """Judge by another threshold."""
        return self._result(self._workspace(state, token), workspaces.checked(threshold))

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
        if threshold is not None:
            threshold = workspaces.checked(threshold)
        workspace = workspaces.inspect(self._service, state or self._first, image)
        finding = workspaces.judge(workspace, threshold)
        facts = workspaces.finding_facts(workspace, finding, threshold)
        return facts, workspaces.draw(workspace, finding), workspace

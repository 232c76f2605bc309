"""What the commands for parts tell: what runs, and what a calibration is worth."""

import jax

from fastrecon_jax.command_line.console import percent, shown
from fastrecon_jax.data import bit_depth
from fastrecon_jax.encoders import licences
from fastrecon_jax.parts import area, calibration
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.fitting import Fitted
from fastrecon_jax.parts.part import Part
from fastrecon_jax.version import __version__


def introduction(engine: Engine) -> str:
    """Versions and device, method and encoder, what of images is inspected, and terms of the weights; a line each."""
    devices, encoder = jax.devices(), engine.encoder
    random = " RANDOM WEIGHTS: scores mean nothing." if encoder.weights == "random" else ""
    note = f" ({engine.method.note})" if engine.method.note else ""
    return (
        f"fastrecon_jax {__version__}, jax {jax.__version__}, {len(devices)} x {devices[0].device_kind}\n"
        f"{engine.method.name}{note}, encoder {encoder.name} {'+'.join(encoder.stages)} "
        f"({encoder.dtype}, {shown(encoder.weights)}).{random}\n"
        f"{area.describe(engine)}\n{licences.notice(encoder)}"
    )


def describe_bit_depth(depth: int, wanted: str) -> str:
    """A line on the bit depth of a part or a data set; empty where all values of 8 or 16 bits are used, as usual."""
    if depth == bit_depth.CONTAINER and wanted == bit_depth.AUTO:
        return ""
    by = "by the largest value of the good images" if wanted == bit_depth.AUTO else "as asked for"
    return f"pixels with more than 8 bits have {depth}, {by}: {bit_depth.white(depth)} is white (--bit_depth={depth})\n"


def describe_fit(fitted: Fitted) -> str:
    """The calibration in words, and the warnings."""
    limits, good = fitted.part.limits, fitted.part.good
    low, high = calibration.rate_interval(limits.scores, limits.rate)
    scores = [photo.score for photo in good]
    held_out = (
        f"scores of the {len(good)} images, each held out of the fit: {min(scores):.4g} to {max(scores):.4g}\n"
        if len(good) > 1
        else f"score of the image itself: {scores[0]:.4g}\n"
    )
    lines = [
        held_out,
        f"threshold {limits.threshold:.4g} for {percent(limits.rate)} false positives, borderline from "
        f"{limits.borderline:.4g}; with so few images the true rate may be {percent(low)} to {percent(high)} "
        "(90 % interval)\n",
        *(f"warning: {shown(warning)}\n" for warning in fitted.warnings),
    ]
    return "".join(lines)


def describe_extension(old: Part, new: Part) -> str:
    """What more photographs changed, in a line."""
    before, after = old.limits, new.limits
    return (
        f"{len(old.good)} -> {len(new.good)} images: threshold {before.threshold:.4g} -> {after.threshold:.4g}, "
        f"borderline {before.borderline:.4g} -> {after.borderline:.4g}, "
        f"spread of the scores {percent(before.scores.spread)} -> {percent(after.scores.spread)}\n"
    )

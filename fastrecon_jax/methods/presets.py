"""The published set-ups as flags: `--preset` of `eval`, and of `fit`, which resizes photographs in another way."""

from collections.abc import Mapping

from fastrecon_jax.command_line.presets import Preset

_FASTRECON = "Fang et al., ICCV 2023"
_PATCHCORE = "Roth et al., CVPR 2022"
_ANOMALYDINO = "Damm et al., WACV 2025"
_SUBSPACEAD = "CVPR 2026"
_SUPERADD = "arXiv 2605.14808"

# Of every command: encoder, features, copies of the support, image score; then the method's own settings.
_COMMON = {
    "fastrecon": Preset(
        "fastrecon",
        {"encoder": "wide_resnet50_2", "stages": "layer2,layer3"},
        {},
        _FASTRECON,
    ),
    "patchcore": Preset(
        "patchcore",
        {"encoder": "wide_resnet50_2", "stages": "layer2,layer3"},
        {},
        _PATCHCORE,
    ),
    "anomalydino": Preset(
        "nearest",
        {
            "encoder": "dinov2_vits14",
            "stages": "block12:normed",
            "support_copies": "rot8",
            "image_score": "top1p",
        },
        {"pooling": "false"},
        _ANOMALYDINO,
    ),
    "subspacead": Preset(
        "subspace",
        {
            "encoder": "dinov2_vitg14_reg",
            "stages": "block23..block29:mean",
            "support_copies": "rot30",
            "image_score": "top1p",
        },
        {"pooling": "false"},
        _SUBSPACEAD,
    ),
    "superadd": Preset(
        "nearest",
        {
            "encoder": "dinov3_vithplus16",
            "stages": "block8,block16,block24,block32",
            "support_copies": "light",
            "tile": "640,128",
        },
        {"pooling": "false"},
        _SUPERADD,
    ),
}
_CUT = {"image_size": "256", "crop_size": "224"}  # the centre of the resized image
_SIDES = {"anomalydino": "672", "subspacead": "672", "superadd": "1152"}  # of the whole image


def _with(more: Mapping[str, Mapping[str, str]]) -> dict[str, Preset]:
    return {name: preset._replace(flags={**preset.flags, **more[name]}) for name, preset in _COMMON.items()}


EVAL = _with(
    {name: {"image_size": _SIDES[name], "crop_size": "{image_size}"} if name in _SIDES else _CUT for name in _COMMON}
)
FIT = _with({name: {"image_size": _SIDES[name]} if name in _SIDES else {"resize": "crop", **_CUT} for name in _COMMON})

"""The settings of all methods in one place: defaults, ranges, help, and whose they are."""

import dataclasses
import math
from collections.abc import Sequence

from fastrecon_jax.command_line.fields import require, setting

AUTO = "auto"
_MOST = 1000


@dataclasses.dataclass(frozen=True)
class MethodSettings:
    """Settings of the methods; each names those that have it. None or 0 is the default of its authors.

    Raises:
        InputError: a value is out of its range.
    """

    lam: float | str = setting(
        2.0,
        "fastrecon: weight of the distribution term, at least 0; auto: chosen from the support images alone",
        of=("fastrecon",),
    )
    coreset_ratio: float | str | None = setting(
        None,
        "share of the support features to keep, above 0 and at most 1; by default fastrecon 0.01, patchcore 0.1, "
        "fastrecon+ all up to 8192 a stage; fastrecon: auto, chosen from the support images alone",
        of=("fastrecon", "fastrecon+", "patchcore"),
    )
    coreset_rows: int = setting(
        0, "fastrecon: number of support features to keep instead of a share; 0 for the share", of=("fastrecon",)
    )
    coreset_projection: int | None = setting(
        None,
        "dimensions of a random projection for choosing the coreset, 0 for none; by default fastrecon 0, patchcore 128",
        of=("fastrecon", "patchcore"),
    )
    soft_length: float = setting(
        0.7,
        "fastrecon+: length, in root mean squares of the support, below which the length of a feature counts, at least "
        "0: 0 compares directions alone, 1000 features as they are",
        of=("fastrecon+",),
    )
    soft_spectrum: float = setting(
        1.0,
        "fastrecon+: variance, in means over all directions, above which a direction counts less, above 0: 1000 counts "
        "all alike",
        of=("fastrecon+",),
    )
    patchcore_approximate: bool = setting(
        True, "patchcore: begin the coreset with distances to 10 random rows, not to all", of=("patchcore",)
    )
    patchcore_reweighting: int = setting(
        0, "patchcore: neighbours in the paper's re-weighted image score; 0 for the maximum", of=("patchcore",)
    )
    padim_channels: int = setting(
        0, "padim: channels drawn; 0 for 100, or 550 where there are more than 448", of=("padim",)
    )
    explained_variance: float = setting(
        0.99, "subspace: share of the variance that the directions explain, above 0 and at most 1", of=("subspace",)
    )
    neighbours: int = setting(
        0, "patchcore: nearest rows to average; spade: nearest images; 0 for 1 and 50", of=("patchcore", "spade")
    )

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        allowed = self.lam == AUTO or (not isinstance(self.lam, str) and 0 <= self.lam < math.inf)
        require(self, "lam", allowed, "it must be a finite number of at least 0, or auto")
        require(self, "soft_length", 0 <= self.soft_length <= _MOST, f"it must be from 0 to {_MOST}")
        require(self, "soft_spectrum", 0 < self.soft_spectrum <= _MOST, f"it must be above 0 and at most {_MOST}")
        ratio = self.coreset_ratio
        allowed = ratio in (None, AUTO) or (not isinstance(ratio, str) and 0 < ratio <= 1)
        require(self, "coreset_ratio", allowed, "it must be above 0 and at most 1, or auto")
        require(self, "coreset_rows", not self.coreset_rows or ratio is None, "it stands instead of --coreset_ratio")
        allowed = 0 < self.explained_variance <= 1
        require(self, "explained_variance", allowed, "it must be above 0 and at most 1")
        for name in ("coreset_rows", "coreset_projection", "patchcore_reweighting", "padim_channels", "neighbours"):
            require(self, name, (getattr(self, name) or 0) >= 0, "it must be at least 0")


def check_used(settings: MethodSettings, methods: Sequence[str]) -> None:
    """Refuse a setting that none of the methods has.

    Args:
        settings: of a command.
        methods: names of those that it runs.

    Raises:
        InputError: a setting differs from its default and would be ignored.
    """
    for field in dataclasses.fields(MethodSettings):
        owners = field.metadata["of"]
        used = getattr(settings, field.name) == field.default or any(method in owners for method in methods)
        require(settings, field.name, used, f"it is a setting of {' and '.join(owners)}, not of {', '.join(methods)}")
    check_auto(settings, methods)


def check_auto(settings: MethodSettings, methods: Sequence[str]) -> None:
    """Refuse to choose a coreset for a method that cannot.

    Args:
        settings: of the methods.
        methods: names of those that take them.

    Raises:
        InputError: the ratio is to be chosen, and one of the methods has a coreset of another kind.
    """
    automatic = settings.coreset_ratio == AUTO and any(method in ("patchcore", "fastrecon+") for method in methods)
    require(settings, "coreset_ratio", not automatic, f"fastrecon alone chooses it, not {', '.join(methods)}")

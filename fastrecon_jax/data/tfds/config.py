"""The settings of `scripts/prepare_data.py`."""

import dataclasses

from fastrecon_jax.command_line.fields import setting
from fastrecon_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """Settings of `scripts/prepare_data.py`."""

    dataset: str = setting(
        "",
        "mvtec_ad, mvtec_ad_2, mvtec_loco, mpdd, visa, real_iad, real_iad_sv, btad, kolektor_sdd, magnetic_tile, elpv, "
        "demo, or all that are there",
    )
    manual_dir: str = setting(
        "", "the publisher's folder or archive, or a folder that holds it; not needed for demo and the package of elpv"
    )
    data_dir: str = setting("~/tensorflow_datasets", "where the prepared data go, TFDS's directory")
    category: tuple[str, ...] = setting(("all",), "categories, or all")
    allow_partial: bool = setting(False, "prepare what is there though images or categories are missing")
    beam_runner: str = setting(
        "", "runner of Apache Beam that writes the shards, such as DirectRunner; by default one process, without Beam"
    )
    beam_options: tuple[str, ...] = setting((), "of that runner, such as direct_num_workers=4")

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        if not self.dataset:
            raise InputError("--dataset is missing: pass the name of a data set, or all")
        if not self.data_dir:
            raise InputError("--data_dir is empty: pass the directory for the prepared data")
        if not self.category:
            raise InputError("--category is empty: pass categories, or all")
        if self.beam_options and not self.beam_runner:
            raise InputError("--beam_options needs --beam_runner, such as DirectRunner")
        if self.dataset == "all" and self.category != ("all",):
            raise InputError("--category goes with one data set, not with --dataset=all")
        if self.dataset == "demo" and self.manual_dir:
            raise InputError(f"--manual_dir={self.manual_dir} is not allowed: --dataset=demo is built in")

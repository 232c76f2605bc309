"""MVTec AD 2 for TFDS; everything but the text beside this file is in `fastrecon_jax.data`."""

import tensorflow_datasets as tfds
from etils import epath

from fastrecon_jax.data import publishers
from fastrecon_jax.data.tfds import builder


class Builder(builder.AnomalyBuilder):
    """MVTec AD 2: eight objects and materials under changing light."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012 - TFDS's convention
    PUBLISHER = publishers.PUBLISHERS["mvtec_ad_2"]
    BUILDER_CONFIGS = builder.configs(PUBLISHER)
    MANUAL_DOWNLOAD_INSTRUCTIONS = builder.instructions(PUBLISHER)
    pkg_dir_path = epath.Path(__file__).parent

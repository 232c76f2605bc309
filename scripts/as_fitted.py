"""Categories of a data set as `python -m fastrecon_jax.fit` would take them, for the scripts that measure parts."""

from fastrecon_jax import methods
from fastrecon_jax.data import images, samples
from fastrecon_jax.inspection.config import FitConfig
from fastrecon_jax.parts import area
from fastrecon_jax.parts.engine import Engine, Recipe, open_engine
from fastrecon_jax.parts.photos import Photo


def open_category_engine(
    category: samples.Category, *, method: str, encoder: str, weights: str, resize: str = FitConfig.resize
) -> Engine:
    """With the defaults of `fit` beside what is named, for photographs of the size of the first good one."""
    recipe = Recipe(
        encoder=encoder,
        stages=(),
        weights=weights,
        weights_sha256=None,
        dtype=FitConfig.dtype,
        image_size=FitConfig.image_size,
        crop_size=area.crop_size(resize, FitConfig.image_size),
        method=method,
        settings=methods.registration(method).settings(),
        image_score=FitConfig.image_score,
        resize=resize,
    )
    first = category.train[0]
    return open_engine(area.decide(recipe, images.size(samples.read(first), first.path)))


def load(sample: samples.Sample, engine: Engine) -> Photo:
    """An image of a category, preprocessed."""
    picture = samples.load_image(sample, samples.read(sample), engine.recipe.preprocessing)
    return Photo(sample.name, sample.name, *picture.size, picture.pixels)

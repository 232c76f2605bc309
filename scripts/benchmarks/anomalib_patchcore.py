"""PatchCore of anomalib as a command, where that is installed: `fit IMAGES MODEL`, `predict IMAGES MODEL`.

Its encoder has random weights, which take as long as pretrained ones and need no download.
"""

import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

_LAYERS = {  # the stages that ours reads by default
    "efficientnet_lite0": ("blocks.2", "blocks.4"),
    "resnet18": ("layer2", "layer3"),
    "resnet50": ("layer2", "layer3"),
    "wide_resnet50_2": ("layer2", "layer3"),
}


def main(task: str, images: Path, file: Path, encoder: str, batch: int) -> None:
    """Fit on a folder of good images and write the model, or read it, score a folder, and print images/s."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from anomalib.data import PredictDataset
    from anomalib.engine import Engine
    from anomalib.models import Patchcore
    from torch.utils.data import DataLoader

    dataset = PredictDataset(images)
    loader = DataLoader(dataset, batch_size=batch, collate_fn=dataset.collate_fn)
    with tempfile.TemporaryDirectory() as results:
        engine = Engine(accelerator="cpu", devices=1, default_root_dir=results, logger=False, enable_progress_bar=False)
        if task == "fit":
            model = Patchcore(
                encoder,
                _LAYERS[encoder],
                pre_trained=False,
                pre_processor=Patchcore.configure_pre_processor((256, 256), (224, 224)),
                evaluator=False,
                visualizer=False,
            )
            engine.fit(model, train_dataloaders=loader)
            engine.trainer.save_checkpoint(file)
        else:
            model = Patchcore.load_from_checkpoint(file, evaluator=False, visualizer=False)
            start = time.perf_counter()
            scored = engine.predict(model, dataloaders=loader, return_predictions=True)
            count = sum(len(of_batch.pred_score) for of_batch in scored)
            sys.stdout.write(f"{count / (time.perf_counter() - start):.1f} images/s\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], int(sys.argv[5]))

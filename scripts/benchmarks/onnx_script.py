"""What users write around an exported part: `python onnx_script.py part.onnx rows.csv images...`."""

import csv
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
threshold = float(session.get_modelmeta().custom_metadata_map["threshold"])
paths = sys.argv[3:]
with Path(sys.argv[2]).open("w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["path", "score", "verdict"])
    for i in range(0, len(paths), 8):
        photos = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths[i : i + 8]])
        scores, _ = session.run(None, {"image": photos})
        for path, score in zip(paths[i : i + 8], scores, strict=True):
            writer.writerow([path, score, "defective" if score > threshold else "good"])

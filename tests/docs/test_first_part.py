import collections
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, blocks


def run(line, folder):
    arguments = [sys.executable, *line.split("#")[0].split()[1:]]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_lines_of_the_readme_run_as_written_and_find_what_the_page_says(tmp_path):
    lines = next(block for block in blocks(ROOT / "README.md", "bash") if "demo:gear" in block).splitlines()
    for line in lines:
        if line.startswith("python"):
            run(line, tmp_path)
    assert (tmp_path / "out" / "index.html").is_file()
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8", newline="") as file:
        verdicts = collections.Counter((Path(row["path"]).parent.name, row["verdict"]) for row in csv.DictReader(file))
    records = json.loads((ROOT / "docs" / "figures" / "gear.json").read_text(encoding="utf-8"))["records"]
    for record in records:
        if record["good_images"] == 4:
            for verdict in ("good", "borderline", "defective"):  # a score may lie on the other side on other processors
                assert abs(verdicts[record["kind"], verdict] - record[verdict]) <= 1, record

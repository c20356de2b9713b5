"""A published detector, against the outputs of OpenCV."""

from pathlib import Path

import numpy as np

from cnnrt import Net, convert


def test_yolo_fastest_agrees_with_its_reference(tmp_path: Path, shared_folder: Path) -> None:
    folder = shared_folder / "models" / "darknet-yolofastest-body"
    files = [folder / f"yolo-fastest-1.1_body{suffix}" for suffix in (".cfg", ".weights")]
    reference = np.load(folder / "reference.npz")
    with Net(convert(files, tmp_path / "yolo").netfile, execution_mode="sequential") as net:
        got = net.compute(reference["input"], outputs=["conv_0", "yolo_121", "yolo_130"])
        plain = net.compute(reference["input"])
    assert isinstance(got, dict)
    for name, stored in {"conv_0": "conv_0", "yolo_121": "conv_120", "yolo_130": "conv_129"}.items():
        assert np.abs(got[name] - reference[stored]).max() <= 1e-5 * np.abs(reference[stored]).max(), name
    assert len(plain) == 2  # the two heads are all that nobody reads

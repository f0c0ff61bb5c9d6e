"""The pipeline that a user would assemble from the MONAI Deploy App SDK's own operators, with Candor's network.

    python -m benchmarks.peers.systems.sdk_pipeline MODELS

For each line "IN OUT" on standard input it works on one study.

Loader, series selector, series-to-volume and text SR writer are the SDK's; between them stands what its example
applications leave to the user: one operator with MONAI's transforms, the network, MONAI's GradCAM, and overlays by
matplotlib. What the SDK lacks is worked around as a user would:

- It has no writer of secondary captures, so highdicom (which it installs for its segmentations) makes them.
- Its volume operator applies the rescale, but no window: pixels are scaled by their range. A MONOCHROME1 image without
  a Presentation LUT Shape stays as it is stored, though the operator's text says otherwise: the network sees a
  negative. That is left as it comes; it changes the logits and not the time.
- It has no resident mode: an application runs once over a folder. Here the network is loaded once and an application
  is made for each study, which spares its users the start of a process, three seconds or more.

A series with two projections raises IndexError in its volume operator, so a study here has one radiograph.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import highdicom
import matplotlib as mpl
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from monai.deploy.conditions import CountCondition
from monai.deploy.core import Application, Fragment, Operator, OperatorSpec
from monai.deploy.operators.dicom_data_loader_operator import DICOMDataLoaderOperator
from monai.deploy.operators.dicom_series_selector_operator import DICOMSeriesSelectorOperator
from monai.deploy.operators.dicom_series_to_volume_operator import DICOMSeriesToVolumeOperator
from monai.deploy.operators.dicom_text_sr_writer_operator import DICOMTextSRWriterOperator
from monai.deploy.operators.dicom_utils import EquipmentInfo, ModelInfo
from monai.transforms import Compose, EnsureChannelFirst, NormalizeIntensity, Resize, ScaleIntensity
from monai.visualize import GradCAM
from pydicom.uid import generate_uid
from torch.nn.functional import pad

from benchmarks.engines import PlainForward
from candor.model.bundle import Bundle, find_bundle, load_bundle

RULES = json.dumps({"selections": [{"name": "radiographs", "conditions": {"Modality": "(?i)CR|DX"}}]})
OVERLAYS = 4
_DPI = 128


class Model:
    """What is loaded once: the network, MONAI's GradCAM on its last feature map, and the transforms."""

    def __init__(self, bundle: Bundle) -> None:
        self.names = [finding.label for finding in bundle.findings]
        self.name, self.version = bundle.name, bundle.version
        self.network = PlainForward(bundle).eval()
        self.grad_cam = GradCAM(self.network, target_layers="trunk")
        mean, std = (np.array([value]) for value in (bundle.input.mean, bundle.input.std))
        self._transforms = [
            Compose(
                [
                    EnsureChannelFirst(channel_dim="no_channel"),
                    ScaleIntensity(),
                    Resize((side, side), mode="area"),
                    NormalizeIntensity(mean, std),
                ]
            )
            for side in bundle.input.sides
        ]

    def picture(self, pixels: Any) -> torch.Tensor:
        """Return a batch of one picture: a channel for each size that the network reads, in its upper left."""
        sizes = [transform(pixels).as_tensor() for transform in self._transforms]
        side = sizes[0].shape[-1]
        return torch.cat([pad(size, (0, side - size.shape[-1]) * 2) for size in sizes])[None]


class ChestClassifierOperator(Operator):  # type: ignore[misc]
    """Classifies the radiograph, explains the likeliest findings, and writes their overlays.

    Named input:
        image: the SDK's volume of one slice.
        study_selected_series_list: the series that it came from.

    Named output:
        text: the probabilities, for the SR writer.
    """

    def __init__(self, fragment: Fragment, *args: Any, model: Model, output_folder: Path, **kwargs: Any) -> None:
        self._model, self._output = model, output_folder
        self.logits: list[float] = []
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""
        spec.input("image")
        spec.input("study_selected_series_list")
        spec.output("text")

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Work on one study."""
        pixels = op_input.receive("image").asnumpy()[0]
        series = op_input.receive("study_selected_series_list")[0].selected_series[0].series
        picture = self._model.picture(pixels.astype(np.float32))
        with torch.inference_mode():
            logits = self._model.network(picture)[0]
        self.logits = logits.tolist()
        source = series.get_sop_instances()[0].get_native_sop_instance()
        for number, index in enumerate(logits.argsort(descending=True)[:OVERLAYS].tolist(), 1):
            grad_cam = 1 - self._model.grad_cam(picture, class_idx=index)[0, 0].numpy()  # MONAI's is inverted
            title = f"{self._model.names[index]} {torch.sigmoid(logits[index]):.0%}"
            self._write_overlay(overlay(pixels, grad_cam, title), source, number)
        lines = [f"{name}: {torch.sigmoid(x):.3f}" for name, x in zip(self._model.names, logits, strict=True)]
        op_output.emit("\n".join(lines), "text")

    def _write_overlay(self, picture: Any, source: Any, number: int) -> None:
        capture = highdicom.sc.SCImage.from_ref_dataset(
            source,
            pixel_array=picture,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            series_instance_uid=generate_uid(),
            sop_instance_uid=generate_uid(),
            series_number=100 + number,
            instance_number=1,
            manufacturer="A user of the SDK",
            patient_orientation=source.get("PatientOrientation"),
        )
        capture.save_as(self._output / f"overlay{number}.dcm")


def overlay(pixels: Any, grad_cam: Any, title: str) -> Any:
    """Draw a map over the radiograph, at most about 1024 pixels a side."""
    figure = Figure(figsize=(8, 8), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 0.94))
    extent = (0, pixels.shape[1], pixels.shape[0], 0)
    axes.imshow(pixels, cmap="gray", extent=extent)
    axes.imshow(grad_cam, cmap="jet", alpha=0.4, extent=extent, interpolation="bilinear")
    axes.set_title(title)
    axes.axis("off")
    canvas.draw()  # type: ignore[no-untyped-call]
    drawn = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(np.asarray(drawn)[..., :3])


class ChestXrayPipeline(Application):  # type: ignore[misc]
    """Loader, selector, volume, classifier, text SR."""

    def __init__(self, model: Model, source: Path, output: Path) -> None:
        self._model, self._source, self._output = model, source, output
        super().__init__(argv=[sys.argv[0]])

    def compose(self) -> None:
        """Construct the operators and connect them as the SDK's examples do."""
        loader = DICOMDataLoaderOperator(self, CountCondition(self, 1), input_folder=self._source, name="loader")
        selector = DICOMSeriesSelectorOperator(self, rules=RULES, name="selector")
        volume = DICOMSeriesToVolumeOperator(self, name="volume")
        classifier = ChestClassifierOperator(self, model=self._model, output_folder=self._output, name="classifier")
        writer = DICOMTextSRWriterOperator(
            self,
            output_folder=self._output,
            model_info=ModelInfo("A user of the SDK", self._model.name, self._model.version, generate_uid()),
            equipment_info=EquipmentInfo(),
            custom_tags={"SeriesDescription": "Not for diagnostic use"},
            name="writer",
        )
        self.classifier = classifier
        series = {("study_selected_series_list", "study_selected_series_list")}
        self.add_flow(loader, selector, {("dicom_study_list", "dicom_study_list")})
        self.add_flow(selector, volume, series)
        self.add_flow(volume, classifier, {("image", "image")})
        self.add_flow(selector, classifier, series)
        self.add_flow(classifier, writer, {("text", "text")})
        self.add_flow(selector, writer, series)


def main() -> None:
    """Run one application for each line, and answer with its seconds and what the network said."""
    mpl.use("agg")
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)  # the SDK's operators log the patient's data
    model = Model(load_bundle(find_bundle(Path(sys.argv[1]))))
    for line in sys.stdin:
        source, output = (Path(word) for word in line.split())
        began = time.perf_counter()
        application = ChestXrayPipeline(model, source, output)
        application.run()
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "logits": application.classifier.logits}), flush=True)


if __name__ == "__main__":
    main()

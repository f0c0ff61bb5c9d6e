"""Heatmaps for all findings beside captum's LayerGradCam and MONAI's GradCAM, on the shipped network in torch."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from captum.attr import LayerGradCam  # type: ignore[import-untyped]
from monai.visualize import GradCAM

from benchmarks.engines import PlainForward, pictures
from benchmarks.peers.table import Section, timed
from benchmarks.timing import interleaved, ratio
from candor.model.bundle import find_bundle, load_bundle
from candor.model.torch_engine import load_network


def measure(models: Path, rounds: int) -> list[Section]:
    """Make the maps of one picture in each way, on one thread, by processor time."""
    torch.set_num_threads(1)
    bundle = load_bundle(find_bundle(models))
    findings = range(len(bundle.findings))
    plain, network = PlainForward(bundle).eval(), load_network(bundle).eval()
    captum_maps = LayerGradCam(plain, plain.trunk)
    monai_maps = GradCAM(plain, target_layers="trunk")
    picture = torch.from_numpy(pictures(bundle, 1))

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            return torch.as_tensor(plain(picture))

    def ours() -> torch.Tensor:
        with torch.inference_mode():
            return torch.relu(network.answer(picture).activation)

    def captum() -> list[torch.Tensor]:
        return [captum_maps.attribute(picture, target=k, relu_attributions=True).detach() for k in findings]

    def monai() -> list[torch.Tensor]:
        return [torch.as_tensor(monai_maps(picture, class_idx=k)) for k in findings]

    seconds = interleaved(
        {"forward": forward, "Candor": ours, "captum": captum, "MONAI": monai},
        rounds,
        warmup=1,
        clock=time.process_time,
    )
    what = f"{len(bundle.findings)} heatmaps of a picture"
    rows = [
        timed(what, "captum's LayerGradCam", seconds["Candor"], seconds["captum"]),
        timed(what, "MONAI's GradCAM", seconds["Candor"], seconds["MONAI"]),
    ]
    over = ratio(seconds["Candor"], seconds["forward"])
    raw = [torch.as_tensor(monai_maps.compute_map(picture, class_idx=k)).detach() for k in findings]  # type: ignore[no-untyped-call]
    apart = [difference(ours(), torch.cat(maps, dim=1)) for maps in (captum(), raw)]
    notes = [
        f"Candor's maps with the classification cost {over:.2f} x the classification alone; the peers' times are for "
        "the maps, each of which classifies again.",
        f"The values agree: largest difference to captum {apart[0]:.1e}, to MONAI {apart[1]:.1e} of a map's peak, "
        "before MONAI inverts its maps and enlarges them.",
    ]
    return [Section("Heatmaps (torch, one thread)", rows, notes)]


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Compare maps that differ by one factor: the largest difference, of the largest value of all maps."""
    return float((ours / ours.max() - theirs / theirs.max()).abs().max())

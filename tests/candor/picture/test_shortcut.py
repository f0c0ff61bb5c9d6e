"""The shortcut audit: a network that reads a token is caught, one that does not is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from candor.decide.calibration import IDENTITY, Calibration, CalibrationKind, Line, LogitMap
from candor.model.outputs import Engine, Outputs
from candor.model.preprocess import InputSpec, to_network_input
from candor.picture.lungs import LungField
from candor.picture.shortcut import Auditor, Blanked, region_map
from candor.study.findings import Finding
from candor.study.result import ShortcutAudit
from tests.tokens import SPEC, Floats, TokenReader, answered, background, planted, scaled
from training.data.pictures import as_radiograph, read_picture
from training.data.readers.read import read_dataset

LIMIT = 0.4
EFFUSION = (Finding.EFFUSION,)
TWO = (Finding.EFFUSION, Finding.MASS)
AS_IT_IS = Calibration({Finding.EFFUSION: LogitMap(IDENTITY, 0.5, 0.5)}, "made up for a test")


@pytest.fixture(scope="module")
def lungs() -> LungField:
    return LungField()


class LungReader:
    """A network that reads nothing but the middle of the picture."""

    name = "test"

    def run(self, images: Floats) -> Outputs:
        return answered(5 * images[:, 0, 40:90, 40:90].mean(axis=(1, 2)))


def caught(reader: Engine, auditor: Auditor, images: list[Floats]) -> float:
    """The share of pictures on which the audit speaks."""
    found = 0
    for image in images:
        blanked = auditor.blank(image)
        if blanked is not None:
            before, after = reader.run(np.stack([image, blanked.network_input])).logits
            found += auditor.compare(blanked, before, after).judge(EFFUSION, [True], LIMIT) is not None
    return found / len(images)


def test_a_network_that_reads_a_token_is_caught(lungs: LungField) -> None:
    rng = np.random.default_rng(0)
    clean = [background(rng) for _ in range(300)]
    tokens = [planted(pixels, rng) for pixels in clean]
    seen = np.stack([scaled(pixels) for pixels in clean[:200] + tokens[:200]])
    reader, auditor = TokenReader(seen, np.repeat([False, True], 200)), Auditor(SPEC, lungs, AS_IT_IS)
    logits = reader.run(np.stack([scaled(pixels) for pixels in clean[200:] + tokens[200:]])).logits[:, 0]
    assert ((logits > 0) == np.repeat([False, True], 100)).mean() > 0.95  # it does read the token
    assert caught(reader, auditor, [scaled(pixels) for pixels in tokens[200:]]) >= 0.95
    assert caught(reader, auditor, [scaled(pixels) for pixels in clean[200:]]) <= 0.05


def test_it_is_caught_on_real_radiographs_too(nih: Path, lungs: LungField) -> None:
    rng = np.random.default_rng(0)
    pictures = [
        as_radiograph(read_picture(image.path)) for image in read_dataset(nih, "nih-shared").main_part().images[:2600:8]
    ]
    inputs = [to_network_input(picture, SPEC) for picture in pictures]
    clean = [image[0] * SPEC.std + SPEC.mean for image in inputs]
    tokens = [scaled(planted(pixels, rng)) for pixels in clean]
    seen, labels = np.stack(inputs[:225] + tokens[:225]), np.repeat([False, True], 225)
    reader, auditor = TokenReader(seen, labels), Auditor(SPEC, lungs, AS_IT_IS)
    assert caught(reader, auditor, tokens[225:]) >= 0.95
    assert caught(reader, auditor, inputs[225:]) <= 0.05


def test_a_network_that_reads_no_token_is_left_alone(lungs: LungField) -> None:
    rng = np.random.default_rng(1)
    tokens = [scaled(planted(background(rng), rng)) for _ in range(60)]
    auditor = Auditor(SPEC, lungs, AS_IT_IS)
    assert all(auditor.blank(image) for image in tokens)
    assert caught(LungReader(), auditor, tokens) == 0


class TestBlanking:
    def test_nothing_to_blank_is_no_second_input(self, lungs: LungField) -> None:
        image = scaled(background(np.random.default_rng(2)))
        assert Auditor(SPEC, lungs, AS_IT_IS).blank(image) is None

    def test_what_was_blanked_is_said_and_the_rest_stays(self, lungs: LungField) -> None:
        rng = np.random.default_rng(3)
        pixels = planted(background(rng), rng)
        pixels[:, -6:] = 0
        blanked = Auditor(SPEC, lungs, AS_IT_IS).blank(scaled(pixels))
        assert blanked is not None
        assert blanked.what == "the marks in the upper left corner and the borders"
        assert blanked.network_input.dtype == np.float32
        assert blanked.network_input.shape == (1, SPEC.side, SPEC.side)
        rest = np.s_[0, 40:, :-6]
        assert np.allclose(blanked.network_input[rest], scaled(pixels)[rest], atol=1e-6)
        assert not np.isclose(blanked.network_input[0, :, -1], scaled(pixels)[0, :, -1]).any()

    def test_borders_alone(self, lungs: LungField) -> None:
        pixels = background(np.random.default_rng(4))
        pixels[:9] = 1
        blanked = Auditor(SPEC, lungs, AS_IT_IS).blank(scaled(pixels))
        assert blanked is not None
        assert blanked.what == "the borders"

    def test_places_are_listed(self, lungs: LungField) -> None:
        rng = np.random.default_rng(5)
        pixels = planted(background(rng), rng)
        everywhere = np.maximum.reduce([pixels, pixels[:, ::-1], pixels[::-1]])
        blanked = Auditor(SPEC, lungs, AS_IT_IS).blank(scaled(everywhere))
        assert blanked is not None
        assert blanked.what == (
            "the marks in the upper left corner, in the upper right corner and in the lower left corner"
        )

    def test_what_lies_in_the_lungs_stays(self) -> None:
        class Everywhere(LungField):
            def probabilities(self, images: Floats) -> Floats:
                return np.ones_like(images)

        pixels = background(np.random.default_rng(6))
        pixels[60:68, 6:9] = 1
        pixels[65:68, 6:13] = 1
        assert Auditor(SPEC, Everywhere(), AS_IT_IS).blank(scaled(pixels)) is None


def test_the_change_is_of_the_calibrated_log_odds(lungs: LungField) -> None:
    platt = LogitMap(Line(CalibrationKind.PLATT, 2.0, 1.0), 0.5, 0.01)
    auditor = Auditor(SPEC, lungs, Calibration(dict.fromkeys(TWO, platt), "made up for a test"))
    blanked = Blanked("the borders", np.zeros((1, 1, 1), np.float32))
    audit = auditor.compare(blanked, np.array([1.0, 0.0], np.float32), np.array([0.25, 3.0], np.float32))
    assert audit.what == "the borders"
    assert np.allclose(audit.changes, [-1.5, 6.0])


@pytest.mark.parametrize(
    ("matters", "limit", "sentence"),
    [
        ([True, True], 0.4, "blanking the borders changes Pleural effusion by -1.4 log-odds"),
        ([False, True], 0.4, "blanking the borders changes Mass by +0.6 log-odds"),
        ([True, True], 1.4, None),
        ([False, True], 0.6, None),
        ([False, False], 0.4, None),
    ],
)
def test_the_largest_change_that_matters_is_told(matters: list[bool], limit: float, sentence: str | None) -> None:
    assert ShortcutAudit("the borders", np.array([-1.4, 0.6])).judge(TWO, matters, limit) == sentence


class Mean:
    """The logit is the mean of the upper left quarter, in standard units."""

    name = "test"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, images: Floats) -> Outputs:
        self.batches.append(len(images))
        half = images.shape[-1] // 2
        return answered(images[:, 0, :half, :half].mean(axis=(1, 2)))


def test_a_region_that_speaks_for_the_finding_is_negative() -> None:
    pixels = np.full((32, 32), 0.5, np.float32)
    pixels[:16, :16] = 0.9
    engine = Mean()
    maps = region_map(engine, AS_IT_IS, scaled(pixels), InputSpec(32, 0.5, 0.25), grid=2)
    assert maps.shape == (1, 2, 2)
    whole = 1 / (1 + np.exp(-0.4 / 0.25))
    assert maps[0, 0, 0] < np.log(0.6 / whole)  # what is around is 0.5, the logit of which is 0
    assert np.allclose(maps[0].ravel()[1:], 0)
    assert engine.batches == [5]


def test_regions_cover_the_picture_once_and_batches_are_bounded() -> None:
    engine = Mean()
    maps = region_map(engine, AS_IT_IS, np.zeros((1, 30, 30), np.float32), InputSpec(30, SPEC.mean, SPEC.std), grid=7)
    assert maps.shape == (1, 7, 7)
    assert np.allclose(maps, 0)
    assert engine.batches == [16, 16, 16, 2]


@pytest.mark.parametrize("grid", [0, 31])
def test_a_grid_that_is_none(grid: int) -> None:
    with pytest.raises(ValueError, match="1 to 30 regions"):
        region_map(Mean(), AS_IT_IS, np.zeros((1, 30, 30), np.float32), SPEC, grid=grid)

"""The picture for people: where the colour is, where it is not, and that the bands leave the anatomy alone."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from candor.evidence.outline import outlines
from candor.evidence.overlay import Canvas, ScaleWords, _colour_bar
from candor.evidence.overlay import render as render_on
from candor.study.radiograph import Radiograph
from candor.study.result import Heatmap
from tests.cases import heatmap

TITLE = "Pleural effusion: deferred, P(present) 12.3 %"
FOOTER = "Research use only, not for diagnosis"
SCALE = ScaleWords(evidence="Evidence", contour="contour", nothing="No evidence for the finding anywhere in the image")


def render(radiograph: Radiograph, evidence: Heatmap, max_side: int = 1024, **words: Any) -> NDArray[np.uint8]:
    return render_on(Canvas.of(radiograph, max_side), evidence, **{"footer": FOOTER, "scale": SCALE, **words})


def flat(rows: int = 700, columns: int = 700, grey: float = 0.5) -> Radiograph:
    return Radiograph(np.full((rows, columns), grey, np.float32))


def no_evidence() -> Heatmap:
    return Heatmap(np.zeros((7, 7), np.float32), "")


def top_of_picture(side: int = 700) -> int:
    """Rows of the band above a square picture of that side with a title alone."""
    white = render(flat(side, side, 1.0), no_evidence(), title=TITLE)
    return int(np.argmax((white == 255).all(axis=(1, 2))))


def picture_of(drawn: NDArray[np.uint8], side: int = 700) -> NDArray[np.uint8]:
    top = top_of_picture(side)
    return drawn[top : top + side]


def colourfulness(picture: NDArray[np.uint8]) -> NDArray[np.int_]:
    return np.ptp(picture.astype(int), axis=-1)


class TestSize:
    def test_is_rgb_in_8_bits(self) -> None:
        drawn = render(flat(), heatmap(), title=TITLE)
        assert drawn.dtype == np.uint8
        assert drawn.shape[1:] == (700, 3)

    def test_never_enlarges(self) -> None:
        drawn = render(flat(400, 600), heatmap(), title=TITLE, max_side=5000)
        assert drawn.shape[1] == 600

    @pytest.mark.parametrize(("rows", "columns", "shown"), [(2500, 2000, (1024, 819)), (2000, 2500, (819, 1024))])
    def test_shrinks_the_longer_side_to_the_maximum(self, rows: int, columns: int, shown: tuple[int, int]) -> None:
        white = (render(flat(rows, columns, 1.0), no_evidence(), title=TITLE) == 255).all(axis=-1)
        found = np.argwhere(white[:, :: shown[1] - 1].all(axis=1))
        assert white.shape[1] == shown[1]
        assert found.max() - found.min() + 1 == shown[0]

    def test_a_small_picture_keeps_its_size_between_wider_bands(self) -> None:
        drawn = render(flat(100, 80, 1.0), no_evidence(), title=TITLE)
        white = (drawn == 255).all(axis=-1)
        assert drawn.shape[1] > 300
        centre = drawn.shape[1] // 2
        row = np.flatnonzero(white[:, centre])
        assert len(row) >= 100
        assert white[row[len(row) // 2]].sum() == 80

    def test_the_longest_line_fits(self) -> None:
        narrow = render(flat(300, 300), heatmap(), title=TITLE)
        wide = render(flat(300, 300), heatmap(), title=TITLE, lines=["a long line " * 10])
        assert wide.shape[1] > narrow.shape[1]
        assert (wide[:, -3:] == wide[0, 0]).all()


class TestColours:
    def test_the_picture_is_unchanged_where_there_is_no_evidence(self) -> None:
        drawn = picture_of(render(flat(), heatmap(row=1, column=1), title=TITLE))
        assert (drawn[500:, 500:] == 128).all()

    def test_a_map_without_evidence_leaves_the_whole_picture(self) -> None:
        drawn = picture_of(render(flat(), no_evidence(), title=TITLE))
        assert (drawn == 128).all()

    @pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 5), (5, 2), (6, 6)])
    def test_the_hottest_cell_is_where_the_grid_has_it(self, row: int, column: int) -> None:
        grid = np.zeros((7, 7), np.float32)
        grid[row, column] = 2.0
        drawn = picture_of(render(flat(), Heatmap(grid, ""), title=TITLE))
        warmth = drawn[..., 1].astype(int) - drawn[..., 2]
        hot = np.argwhere(warmth == warmth.max()).mean(axis=0)
        assert np.abs(hot - [100 * row + 50, 100 * column + 50]).max() < 60

    def test_the_colour_says_how_much_of_the_peak_whatever_the_peak_is(self) -> None:
        weak, strong = (picture_of(render(flat(), heatmap(peak=peak), title=TITLE)) for peak in (0.5, 5.0))
        assert np.abs(weak.astype(int) - strong).max() <= 2

    def test_anatomy_shows_through_the_peak(self) -> None:
        dark, bright = (picture_of(render(flat(grey=grey), heatmap(), title=TITLE))[350, 350] for grey in (0.2, 0.8))
        assert (bright.astype(int) - dark > 40).all()

    def test_the_contour_is_the_outline(self) -> None:
        drawn = picture_of(render(flat(grey=0.3), heatmap(2, 4), title=TITLE))
        (outline,) = outlines(heatmap(2, 4), (700, 700))
        column, row = (outline - 0.5).round().astype(int).T
        assert (drawn[row, column] > 200).all()

    def test_colours_are_laid_over_the_grey_by_their_opacity(self) -> None:
        evidence = heatmap()
        drawn = picture_of(render(flat(grey=0.3), evidence, title=TITLE)).astype(float)
        share = np.clip(cv2.resize(evidence.grid / evidence.peak, (700, 700), interpolation=cv2.INTER_CUBIC), 0, 1)
        level = (255 * share).astype(np.uint8)
        colour = cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS)[..., ::-1]
        opacity = 0.6 * (level[..., None] / 255) ** 0.8
        expected = opacity * colour + (1 - opacity) * round(0.3 * 255)
        off_the_line = np.abs(share - 0.5) > 0.05
        assert np.abs(drawn - expected)[off_the_line].max() <= 3

    def test_a_white_contour_runs_at_half_of_the_peak(self) -> None:
        drawn = picture_of(render(flat(grey=0.3), heatmap(), title=TITLE))
        row = drawn[350].astype(int)
        white = np.flatnonzero((row > 230).all(axis=-1))
        # exp(-r^2 / 2) is a half at 1.18 cells of 100 pixels; the spline between cells moves it a little
        assert np.abs(np.abs(white - 350) - 118).max() < 15
        assert {side > 350 for side in white} == {False, True}

    def test_lightness_rises_steadily_for_every_eye(self) -> None:
        bar = _colour_bar(256, 1)[0].astype(float) / 255
        linear = np.where(bar <= 0.04045, bar / 12.92, ((bar + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        blue_yellow = linear[:, :2].mean(axis=1) - linear[:, 2]
        upper = slice(110, None)
        assert (np.diff(luminance[upper]) > -2e-3).all()
        assert luminance[-1] > 1.8 * luminance[upper][0]
        # blue to yellow is the axis that protan and deutan eyes keep
        assert blue_yellow[-1] - blue_yellow[40] > 0.3


class TestBands:
    def test_words_change_the_bands_alone(self) -> None:
        one = render(flat(), heatmap(), title=TITLE)
        other = render(flat(), heatmap(), title="Mass: present, P(present) 81.2 %", footer="Nothing")
        assert one.shape == other.shape
        assert (picture_of(one) == picture_of(other)).all()
        assert (one != other).any()

    def test_the_scale_names_the_peak(self) -> None:
        top = top_of_picture()
        one, other = (render(flat(), heatmap(peak=peak), title=TITLE)[top + 700 :] for peak in (1.8, 7.3))
        assert (one != other).any()

    def test_the_scale_has_the_given_words(self) -> None:
        other = ScaleWords(evidence="Evidenz", contour="Kontur", nothing="Nirgends")
        for evidence in (heatmap(), no_evidence()):
            one, changed = (render(flat(), evidence, title=TITLE, scale=scale) for scale in (SCALE, other))
            rows = np.flatnonzero((one != changed).any(axis=(1, 2)))
            assert rows.min() >= top_of_picture() + 700

    def test_research_use_stands_in_the_last_band(self) -> None:
        with_footer = render(flat(), heatmap(), title=TITLE)
        without = render(flat(), heatmap(), title=TITLE, footer="")
        changed = np.flatnonzero((with_footer != without).any(axis=(1, 2)))
        assert changed.min() > 700 + top_of_picture()
        assert len(changed) > 8


def test_is_a_pure_function() -> None:
    pixels = np.random.default_rng(0).random((900, 800), dtype=np.float32)
    radiograph, spot = Radiograph(pixels.copy()), heatmap()
    grid = spot.grid.copy()
    canvas = Canvas.of(radiograph)
    words = {"title": TITLE, "lines": ["one", "two"], "footer": FOOTER, "scale": SCALE}
    first = render_on(canvas, spot, **words)
    first_before = first.copy()
    other = render_on(canvas, heatmap(1, 1), **words)
    other[:] = 0  # a caller may write into what it got
    assert (render_on(canvas, spot, **words) == first_before).all()
    assert (render(radiograph, spot, title=TITLE, lines=["one", "two"]) == first).all()
    assert (radiograph.pixels == pixels).all()
    assert (spot.grid == grid).all()


@pytest.mark.parametrize("rows", [1, 9])
def test_a_sliver_is_drawn_too(rows: int) -> None:
    assert render(flat(rows, 3000), heatmap(), title=TITLE).shape[1] == 1024

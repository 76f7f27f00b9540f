"""What scripts/imitate_segmenter says."""

import argparse
import sys
import zlib
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

LABEL_SET = Path(__file__).resolve().parent.parent / "config/labels/cityscapes.yaml"
NONE = 255
THIN = ("fence", "pole", "traffic light", "traffic sign", "person", "rider", "motorcycle", "bicycle")


def ranks(draw, shape, size):
    """Smooth noise of structures of that size in pixels: the rank of each pixel, in [0, 1)."""
    height, width = shape
    grid = draw.standard_normal((int(height / size) + 3, int(width / size) + 3)).astype(np.float32)
    large = (int(grid.shape[1] * size) + 1, int(grid.shape[0] * size) + 1)
    noise = np.asarray(Image.fromarray(grid).resize(large, Image.BICUBIC))[:height, :width]
    return noise.ravel().argsort().argsort().reshape(shape) / noise.size


def mended(draw, labels, truth):
    """A share of the wrong pixels, in patches, as they should be."""
    share = draw.uniform(0.3, 1)
    wrong = (labels != truth) & (truth != NONE)
    return np.where(wrong & (ranks(draw, labels.shape, 2 ** draw.uniform(2, 5)) < share), truth, labels)


def moved(draw, labels):
    """Borders lie up to three pixels elsewhere."""
    reach, size = draw.uniform(1, 6), 2 ** draw.uniform(3, 5)
    rows, columns = np.indices(labels.shape)
    down, right = ((ranks(draw, labels.shape, size) - 0.5) * reach for _ in range(2))
    height, width = labels.shape
    return labels[
        np.clip(rows + down.round().astype(int), 0, height - 1),
        np.clip(columns + right.round().astype(int), 0, width - 1),
    ]


def without_thin(draw, labels, thin):
    """Some of what is thin is labelled as what lies to the left of it."""
    is_thin = np.isin(labels, thin)
    missed = is_thin & (ranks(draw, labels.shape, 2 ** draw.uniform(2, 5)) < draw.uniform(0.1, 0.7))
    columns = np.maximum.accumulate(np.where(is_thin, 0, np.arange(labels.shape[1])), axis=1)
    left = np.take_along_axis(labels, columns, axis=1)
    return np.where(missed & ~np.isin(left, thin), left, labels)


def patched(draw, labels, classes):
    """A patch of another class, often within one segment."""
    height, width = labels.shape
    y, x, tall = draw.integers(height), draw.integers(width), 2 ** draw.uniform(1.5, 5.5)
    wide = tall * 2 ** draw.uniform(-1, 1.5)
    rows, columns = np.indices(labels.shape)
    distance = ((rows - y) / tall) ** 2 + ((columns - x) / wide) ** 2
    patch = distance + 2 * (ranks(draw, labels.shape, max(2, tall / 2)) - 0.5) < 0.6
    if draw.random() < 0.6:
        patch &= labels == labels[y, x]
    in_view = np.setdiff1d(labels, [NONE])
    label = draw.choice(in_view) if len(in_view) and draw.random() < 0.7 else draw.integers(classes)
    return np.where(patch, label, labels)


def imitate(draw, labels, truth, names):
    """Labels of one image, `height x width`: places in the label set, 255 for none."""
    thin = [place for place, name in enumerate(names) if name in THIN]
    labels = mended(draw, labels, truth)
    if draw.random() < 0.5:
        labels = moved(draw, labels)
    if draw.random() < 0.5:
        labels = without_thin(draw, labels, thin)
    for _ in range(draw.integers(5)):
        labels = patched(draw, labels, len(names))
    return labels.astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(prog="scripts/imitate_segmenter")
    parser.add_argument("labels", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    classes = yaml.safe_load(LABEL_SET.read_text())["classes"]
    place = np.full(256, NONE, np.uint8)
    for number, one in enumerate(classes):
        place[one["raw"]] = number
    found = sorted(arguments.labels.rglob("*_pred.png"))
    if not found:
        sys.exit(f"{arguments.labels}: no NAME_pred.png is there; synthcp evaluate --bravo writes them")
    wrong, before, counted = 0, 0, 0
    for path in found:
        name = path.name.removesuffix("_pred.png")
        labels = np.asarray(Image.open(path))
        truth = place[np.asarray(Image.open(arguments.data / "labels" / f"{name}.png"))]
        if labels.shape != truth.shape:
            sys.exit(f"{path}: {labels.shape} pixels, the truth has {truth.shape}; write it with --at working")
        draw = np.random.default_rng([arguments.seed, zlib.crc32(name.encode())])
        new = imitate(draw, labels, truth, [one["name"] for one in classes])
        out = arguments.out / path.parent.relative_to(arguments.labels) / f"{name}.png"
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(new).save(out)
        counts = truth != NONE
        counted += counts.sum()
        before += (counts & (labels != truth)).sum()
        wrong += (counts & (new != truth)).sum()
    print(f"{len(found)} images: {100 * wrong / counted:.1f} % of the pixels wrong, {100 * before / counted:.1f} % before")


if __name__ == "__main__":
    main()

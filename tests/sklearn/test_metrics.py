"""`synthcp metrics` against scikit-learn, to 1e-9, on random arrays of every awkward kind."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

BINARY = pathlib.Path(
    os.environ.get("SYNTHCP", pathlib.Path(__file__).parents[2] / "target/release/synthcp")
)
IGNORE = 255


def few_values(rng, shape):
    """Many ties."""
    return rng.integers(0, 5, shape) / 4


def constant(rng, shape):
    return np.full(shape, rng.normal())


def piled_up(rng, shape):
    """Softmax-like: most of them next to zero, in single precision."""
    return (10.0 ** -rng.uniform(0, 12, shape)).astype(np.float32)


def nearly_equal(rng, shape):
    """Doubles that single precision would make equal."""
    return 1 + rng.integers(0, 40, shape) * 1e-12


def unbounded(rng, shape):
    """Infinities too; two zeros."""
    return rng.choice([-np.inf, -3.5, -0.0, 0.0, 1e-300, 2.0, np.inf], shape)


def half_precision(rng, shape):
    return rng.normal(size=shape).astype(np.float16)


def integers(rng, shape):
    return rng.integers(-20, 20, shape, dtype=rng.choice([np.int8, np.int16, np.int32, np.int64]))


def flags(rng, shape):
    return rng.integers(0, 2, shape).astype(bool)


SCORES = [few_values, constant, piled_up, nearly_equal, unbounded, half_precision, integers, flags]
SHAPES = [(1,), (2,), (37,), (400,), (12, 9), (3, 6, 7)]
# Share of positives; the first and the last leave one class out.
SHARES = [0.0, 0.02, 0.3, 0.9, 1.0]


def case(number):
    rng = np.random.default_rng(number)
    shape = SHAPES[number % len(SHAPES)]
    scores = SCORES[number % len(SCORES)](rng, shape)
    labels = (rng.random(shape) < SHARES[number % len(SHARES)]).astype(rng.choice([np.uint8, np.int64]))
    if number % 3 == 0 and labels.size > 1:
        labels[rng.random(shape) < 0.2] = IGNORE
    order = rng.choice(["C", "F"])
    return np.asarray(scores, order=order), np.asarray(labels, order=rng.choice(["C", "F"]))


def run(tmp_path, scores, labels, *more):
    np.save(tmp_path / "s.npy", scores)
    np.save(tmp_path / "l.npy", labels)
    command = [BINARY, "metrics", "--scores", tmp_path / "s.npy", "--labels", tmp_path / "l.npy", *more]
    return subprocess.run(command, capture_output=True, text=True)


def expected(scores, truth):
    """By scikit-learn; None where it has no value or only warns."""
    out = dict.fromkeys(["average_precision", "auroc", "fpr95_first", "fpr95_nearest"])
    if truth.any():
        out["average_precision"] = average_precision_score(truth, scores)
    if truth.any() and not truth.all():
        # An infinite score is a score like any other: only the order counts.
        scores = np.unique(scores, return_inverse=True)[1]
        out["auroc"] = roc_auc_score(truth, scores)
        false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
        out["fpr95_first"] = false[np.argmax(true >= 0.95)]
        # From the highest threshold that finds everything upwards, without the point that finds nothing.
        place = np.arange(1, np.argmax(true == 1) + 1)[::-1]
        out["fpr95_nearest"] = false[place[np.argmin(np.abs(true[place] - 0.95))]]
    return out


def assert_close(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if value is None:
            assert found[name] is None, name
        else:
            assert found[name] == pytest.approx(value, rel=0, abs=1e-9), name


@pytest.mark.parametrize("number", range(200))
def test_agrees_with_scikit_learn(number, tmp_path):
    scores, labels = case(number)
    done = run(tmp_path, scores, labels, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    counted = labels != IGNORE
    order = np.unique(scores[counted], return_inverse=True)[1]
    truth = labels[counted] == 1
    assert (found["pixels"], found["positives"]) == (counted.sum(), truth.sum())
    assert_close(found["pooled"]["positive"], expected(order, truth))
    assert_close(found["pooled"]["negative"], expected(-order, ~truth))
    if scores.ndim == 3:
        check_images(found["per_image"], scores, labels)


def check_images(found, scores, labels):
    images = []
    for score, label in zip(scores, labels):
        kept = label != IGNORE
        images.append(expected(score[kept].astype(np.float64), label[kept] == 1))
    assert found["images"] == len(images)
    assert found["without_positives"] == sum(not (label == 1).any() for label in labels)
    for name, mean in found["mean"]["positive"].items():
        values = [image[name] for image in images if image[name] is not None]
        assert mean == (pytest.approx(np.mean(values), abs=1e-9) if values else None), name


def test_nan_is_an_error_that_names_its_place(tmp_path):
    scores, labels = np.zeros((2, 3, 4), np.float32), np.zeros((2, 3, 4), np.uint8)
    labels[0, 0, 0], labels[1, 0, 1] = 1, IGNORE
    scores[1, 0, 1] = scores[1, 2, 1] = np.nan
    done = run(tmp_path, scores, labels)
    # The first NaN does not count; the second is element 12 + 8 + 1.
    assert done.returncode == 1 and "score 21 is NaN" in done.stderr, done.stderr


def test_wrong_arrays_are_named(tmp_path):
    done = run(tmp_path, np.zeros(3), np.zeros(4))
    assert done.returncode == 1 and "[3]" in done.stderr and "[4]" in done.stderr
    done = run(tmp_path, np.zeros(3), np.array([0, 1, 7]))
    assert done.returncode == 1 and "label 2 is 7" in done.stderr
    done = run(tmp_path, np.zeros(3, np.complex64), np.zeros(3))
    assert done.returncode == 1 and "c8" in done.stderr


def test_the_table_names_every_figure(tmp_path):
    done = run(tmp_path, np.array([[[0.1, 0.4]], [[0.35, 0.8]]]), np.array([[[0, 0]], [[1, 1]]]))
    for name in ["AP", "AUROC", "FPR95", "FPR95 nearest"]:
        assert f"| {name}, positives wanted, high |" in done.stdout
    assert "| AP, positives wanted, high | 0.833333 |" in done.stdout
    assert "2 images, 1 without positives" in done.stdout

"""Labels of every form as scikit-learn's metrics take them."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from outcomes import assert_same_outcome, outcome

from fastloss import metrics

CODES, THREE = np.array([0, 1, 1, 0, 1, 0]), np.array([0, 1, 2, 0, 1, 2])
P = np.array([0.25, 0.625, 0.5, 0.75, 0.5, 0.125])
P3 = np.array([[0.25, 0.25, 0.5], [0.125, 0.625, 0.25], [0.5, 0.25, 0.25]] * 2)
WORDS = ["ant", "bee", "cat"]


def both(name, *args, **kwargs):
    return [getattr(module, name)(*args, **kwargs) for module in (metrics, sklearn.metrics)]


# ---- labels of hinge_loss, which only need an order --------------------------------------------

ORDERED = {
    "objects": lambda codes: np.array(WORDS, object)[codes],
    "numbers as objects": lambda codes: codes.astype(object),
    "bytes": lambda codes: np.array(WORDS, "S")[codes],
    "bytes as objects": lambda codes: np.array([word.encode() for word in WORDS], object)[codes],
    "list of bytes": lambda codes: [WORDS[code].encode() for code in codes],
    "fractions": lambda codes: codes / 4,
    "dates": lambda codes: np.array("2020", "M8[D]") + codes,
    "wide": lambda codes: codes.astype(np.uint64) + np.uint64(2**63),
    "far apart": lambda codes: np.array([-2**62, 0, 2**62])[codes],
    "int8": lambda codes: np.array([-128, 0, 127], np.int8)[codes],
    "category": lambda codes: pd.Categorical(np.array(WORDS, object)[codes]),
}


@pytest.mark.parametrize("form", ORDERED)
@pytest.mark.parametrize("labels", [None, [0, 1, 2], [2, 0, 1, 1]])
def test_classes_of_hinge_loss(form, labels):
    y = ORDERED[form](THREE)
    known = None if labels is None else ORDERED[form](np.array(labels))
    ours, theirs = both("hinge_loss", y, P3, labels=known)
    assert ours == theirs == metrics.hinge_loss(THREE, P3)


@pytest.mark.parametrize("form", ORDERED)
def test_two_classes_of_hinge_loss(form):
    assert_same_outcome("hinge_loss", ORDERED[form](CODES), P, raises=False)


def test_hinge_loss_does_not_cast_labels():
    # cast to the type of the labels, as scikit-learn does, "bees" is "bee" and 0.5 is 0
    with pytest.raises(ValueError, match="'bees'"):
        metrics.hinge_loss(np.array(["ant", "bees", "cat"]), P3[:3], labels=np.array(WORDS))
    with pytest.raises(ValueError, match=r"0\.5"):
        metrics.hinge_loss(np.array([0.5, 1, 2]), P3[:3], labels=[0, 1, 2])


def test_hinge_loss_refuses_more_classes_than_labels():
    with pytest.raises(ValueError, match="contains values"):
        metrics.hinge_loss(THREE, P, labels=[0, 1])


def test_hinge_loss_of_decisions_of_any_type():
    decisions = np.array([[3, 1, 0], [0, 2, 9], [200, 0, 1]] * 2)
    expected = metrics.hinge_loss(THREE, decisions.astype(float))
    for dtype in (np.uint8, np.int16, np.float16, np.float32, np.longdouble, object):
        assert metrics.hinge_loss(THREE, decisions.astype(dtype)) == expected
    single = P.astype(np.float32) / 3
    assert metrics.hinge_loss(CODES, single) == metrics.hinge_loss(CODES, single.astype(float))


# ---- labels of the others ------------------------------------------------------------------------

OTHERS = ["log_loss", "d2_log_loss_score", "brier_score_loss"]
STRINGS = np.dtypes.StringDType()


@pytest.mark.parametrize("name", [*OTHERS, "hinge_loss"])
def test_strings_of_numpy_are_strings(name):
    for codes, scores in ((CODES, P), (THREE, P3)):
        kwargs = {"pos_label": "bee"} if name == "brier_score_loss" and scores is P else {}
        labels = np.array(WORDS)[codes]
        expected = getattr(sklearn.metrics, name)(labels, scores, **kwargs)
        assert getattr(metrics, name)(labels.astype(STRINGS), scores, **kwargs) == pytest.approx(
            expected, rel=1e-15)
    known = np.array(WORDS, STRINGS)
    assert metrics.log_loss(np.array(WORDS)[THREE], P3, labels=known) == pytest.approx(
        sklearn.metrics.log_loss(THREE, P3), rel=1e-15)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("low", [2**63, 2**64 - 3, 2**40, 0])
def test_labels_of_64_bits(name, low):
    y = CODES.astype(np.uint64) + np.uint64(low)
    for labels in (None, np.array([low, low + 1], np.uint64)):
        ours, theirs = both(name, y, np.stack((1 - P, P), axis=1), labels=labels)
        assert ours == pytest.approx(theirs, rel=1e-15)
    assert_same_outcome(name, y, P, raises=False)
    assert_same_outcome(name, THREE.astype(np.uint64) + np.uint64(low), P3, raises=False)


@pytest.mark.parametrize("name", [*OTHERS, "hinge_loss"])
@pytest.mark.parametrize("labels", [
    np.array([0.5, 0.25])[CODES], np.array([0.0, 1e300])[CODES], np.array([0.0, np.inf])[CODES],
    np.array([0, 0.5], np.float32)[CODES], [WORDS[0], 1, WORDS[0], 1, 1, 1]])
def test_what_is_no_class(name, labels):
    assert_same_outcome(name, labels, P, raises=False)


@pytest.mark.parametrize("pos_label", [0, 1, 1.0, True, np.True_, np.int8(1), "bee", 2**63 + 1, -1])
@pytest.mark.parametrize("form", [
    np.int8, np.uint64, float, np.float16, bool, lambda codes: pd.Series(codes, dtype="boolean"),
    lambda codes: np.array(WORDS)[codes], lambda codes: np.array(WORDS, object)[codes],
    lambda codes: codes.astype(np.uint64) + np.uint64(2**63)])
def test_positive_labels(form, pos_label):
    y = CODES.astype(form) if isinstance(form, type) else form(CODES)
    theirs, _ = outcome(sklearn.metrics.brier_score_loss, y, P, pos_label=pos_label)
    if theirs is OverflowError:     # of bools and integers of 64 bits, which are just not equal
        positive = np.array([label == int(pos_label) for label in y.tolist()])
        assert metrics.brier_score_loss(y, P, pos_label=pos_label) == pytest.approx(
            np.mean((positive - P) ** 2), rel=1e-15)
    else:
        assert_same_outcome("brier_score_loss", y, P, pos_label=pos_label, raises=False)


@pytest.mark.parametrize("scale_by_half", [True, False, np.True_, np.False_, "auto"])
def test_half_of_brier_scores(scale_by_half):
    for y, scores in ((CODES, P), (CODES, np.stack((1 - P, P), axis=1)), (THREE, P3),
                      (np.eye(3)[THREE], P3), (CODES.tolist(), P.tolist())):
        ours, theirs = both("brier_score_loss", y, scores, scale_by_half=scale_by_half)
        assert ours == pytest.approx(theirs, rel=1e-15)
        if not isinstance(scale_by_half, str):
            assert ours == metrics.brier_score_loss(y, scores, scale_by_half=bool(scale_by_half))


# ---- label indicator matrices --------------------------------------------------------------------

MATRIX = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0], [1, 0, 1]])
INDICATORS = {
    "int": MATRIX, "bool": MATRIX > 0, "float": MATRIX.astype(float), "5": 5 * MATRIX,
    "-1 and 1": 2 * MATRIX - 1, "2 and 3": MATRIX + 2, "uint8": 255 * MATRIX.astype(np.uint8),
    "int8": MATRIX.astype(np.int8) * np.int8(100), "list": MATRIX.tolist(),
    "frame": pd.DataFrame(MATRIX), "ones": np.ones_like(MATRIX), "halves": MATRIX / 2,
    "words": np.array(["a", "b"])[MATRIX], "objects": MATRIX.astype(object),
}


@pytest.mark.parametrize("form", INDICATORS)
@pytest.mark.parametrize("name", OTHERS)
def test_numbers_of_indicators_count_as_they_are(name, form):
    for w in (None, P, P.astype(np.float16), [1, 2, 0, 4, 5, 6]):
        assert_same_outcome(name, INDICATORS[form], P3, sample_weight=w, raises=False)


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 2], WORDS, MATRIX, 5 * MATRIX, MATRIX[:, :2]])
@pytest.mark.parametrize("y", [MATRIX, 5 * MATRIX, THREE, np.array(WORDS)[THREE]])
@pytest.mark.parametrize("name", OTHERS)
def test_labels_beside_indicators(name, y, labels):
    theirs, _ = outcome(getattr(sklearn.metrics, name), y, P3, labels=labels)
    if theirs is TypeError:     # for what it cannot hash; ours is a ValueError too
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with pytest.raises(ValueError, match="not belonging"):
                getattr(metrics, name)(y, P3, labels=labels)
    else:
        assert_same_outcome(name, y, P3, labels=labels, raises=False)


# ---- probabilities -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OTHERS)
def test_lists_of_numbers_of_numpy_are_doubles(name):
    single = np.array([0, 1, 0.25, 1, 0, 0.5], np.float32)      # clipped at the ε of float64
    for form in (list, tuple, lambda p: p.astype(object), lambda p: p.astype(">f4"),
                 lambda p: pd.Series(p, dtype="Float32")):
        ours, theirs = both(name, CODES, form(single))
        assert ours == pytest.approx(theirs, rel=1e-14)
        assert ours == pytest.approx(getattr(metrics, name)(CODES, single.astype(float)), rel=1e-15)

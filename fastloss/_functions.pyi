# Written by tools/function_stubs.py; changes by hand are lost.

from collections.abc import Callable
from typing import Any, Literal, overload

from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

def function_of(
    cls: type[Any], summary: str, *, name: str = "", **meanings: str
) -> Callable[..., Any]: ...
@overload
def contrastive_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, margin: float = 1.0, similar_label: Literal[0, 1] = 1,
    form: Literal["squared", "half", "linear"] = "squared", pos_margin: float | None = None,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def contrastive_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, margin: float = 1.0, similar_label: Literal[0, 1] = 1,
    form: Literal["squared", "half", "linear"] = "squared", pos_margin: float | None = None,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def hinge_embedding_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, margin: float = 1.0,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def hinge_embedding_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, margin: float = 1.0,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def quality_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, margin: float = 0.5, similar_label: Literal[0, 1] = 1,
    form: Literal["squared", "half", "linear"] = "squared", pos_margin: float | None = None,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def quality_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, margin: float = 0.5, similar_label: Literal[0, 1] = 1,
    form: Literal["squared", "half", "linear"] = "squared", pos_margin: float | None = None,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def exponential_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: tuple[float, float] = (0, 1),
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def exponential_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: tuple[float, float] = (0, 1),
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def hinge_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: tuple[float, float] = (0, 1),
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def hinge_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: tuple[float, float] = (0, 1),
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def modified_huber_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: tuple[float, float] = (0, 1),
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def modified_huber_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: tuple[float, float] = (0, 1),
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def squared_hinge_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: tuple[float, float] = (0, 1),
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def squared_hinge_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: tuple[float, float] = (0, 1),
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def focal_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, gamma: float = 2.0, alpha: float = 0.25,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def focal_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, gamma: float = 2.0, alpha: float = 0.25,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def kl_divergence_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def kl_divergence_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["none"], out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
@overload
def log_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, eps: float | Literal["auto"] = 1e-07,
    from_logits: bool = False, pos_weight: float = 1.0, label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def log_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, eps: float | Literal["auto"] = 1e-07,
    from_logits: bool = False, pos_weight: float = 1.0, label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def epsilon_insensitive_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, epsilon: float = 0.1, squared: bool = False,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def epsilon_insensitive_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, epsilon: float = 0.1, squared: bool = False,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def expectile_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, level: float = 0.5,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def expectile_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, level: float = 0.5,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def pinball_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, quantile: float = 0.5,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def pinball_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, quantile: float = 0.5,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def gamma_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def gamma_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["none"], out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
@overload
def poisson_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, log_input: bool = True,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def poisson_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, log_input: bool = True,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def tweedie_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, power: float = 1.5,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def tweedie_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, power: float = 1.5,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def absolute_percentage_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, eps: float = 2.220446049250313e-16,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def absolute_percentage_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, eps: float = 2.220446049250313e-16,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def squared_log_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def squared_log_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["none"], out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
@overload
def tweedie_deviance_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, power: float = 0.0,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def tweedie_deviance_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, power: float = 0.0,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def absolute_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def absolute_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["none"], out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
@overload
def huber_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, delta: float = 1.0,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def huber_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, delta: float = 1.0,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def log_cosh_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def log_cosh_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["none"], out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
@overload
def pseudo_huber_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, delta: float = 1.0,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def pseudo_huber_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, delta: float = 1.0,
    sample_weight: ArrayLike | None = None, reduction: Literal["none"], out: Array | None = None,
    n_threads: int | None = None,
) -> Array: ...
@overload
def squared_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def squared_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, sample_weight: ArrayLike | None = None,
    reduction: Literal["none"], out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
@overload
def cross_entropy_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, from_logits: bool = True, label_smoothing: float = 0.0,
    ignore_index: int | None = None, class_weight: ArrayLike | None = None,
    eps: float | Literal["auto"] = 1e-07, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum", "sum_over_batch_size"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def cross_entropy_loss(
    y_true: ArrayLike, y_pred: ArrayLike, *, from_logits: bool = True, label_smoothing: float = 0.0,
    ignore_index: int | None = None, class_weight: ArrayLike | None = None,
    eps: float | Literal["auto"] = 1e-07, sample_weight: ArrayLike | None = None,
    reduction: Literal["none"], out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
@overload
def cosine_embedding_loss(
    a: ArrayLike, b: ArrayLike, y: ArrayLike, *, margin: float = 0.0,
    labels: tuple[int, int] = (-1, 1), sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def cosine_embedding_loss(
    a: ArrayLike, b: ArrayLike, y: ArrayLike, *, margin: float = 0.0,
    labels: tuple[int, int] = (-1, 1), sample_weight: ArrayLike | None = None,
    reduction: Literal["none"], out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
@overload
def pair_contrastive_loss(
    a: ArrayLike, b: ArrayLike, y: ArrayLike, *, margin: float = 1.0,
    distance: Literal["euclidean", "sqeuclidean", "cosine"] = "euclidean",
    similar_label: Literal[0, 1] = 1, form: Literal["squared", "linear"] = "squared",
    pos_margin: float | None = None, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def pair_contrastive_loss(
    a: ArrayLike, b: ArrayLike, y: ArrayLike, *, margin: float = 1.0,
    distance: Literal["euclidean", "sqeuclidean", "cosine"] = "euclidean",
    similar_label: Literal[0, 1] = 1, form: Literal["squared", "linear"] = "squared",
    pos_margin: float | None = None, sample_weight: ArrayLike | None = None,
    reduction: Literal["none"], out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
@overload
def triplet_loss(
    anchors: ArrayLike, positives: ArrayLike, negatives: ArrayLike, *, margin: float = 1.0,
    distance: Literal["euclidean", "sqeuclidean", "cosine"] = "euclidean",
    soft_margin: bool = False, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "sum"] = "mean", out: Array | None = None,
    n_threads: int | None = None,
) -> float: ...
@overload
def triplet_loss(
    anchors: ArrayLike, positives: ArrayLike, negatives: ArrayLike, *, margin: float = 1.0,
    distance: Literal["euclidean", "sqeuclidean", "cosine"] = "euclidean",
    soft_margin: bool = False, sample_weight: ArrayLike | None = None, reduction: Literal["none"],
    out: Array | None = None, n_threads: int | None = None,
) -> Array: ...
def batch_contrastive_loss(
    embeddings: ArrayLike, labels: ArrayLike, *, margin: float = 1.0,
    distance: Literal["euclidean", "sqeuclidean", "cosine"] = "euclidean",
    form: Literal["squared", "linear"] = "squared", pos_margin: float | None = None,
    normalize: bool = False, sample_weight: ArrayLike | None = None, refs: ArrayLike | None = None,
    ref_labels: ArrayLike | None = None, reduction: Literal["mean", "mean_nonzero", "sum"] = "mean",
    n_threads: int | None = None,
) -> float: ...
def batch_triplet_loss(
    embeddings: ArrayLike, labels: ArrayLike, *, margin: float = 0.2,
    mining: Literal["hard", "semi-hard", "all"] = "hard",
    distance: Literal["euclidean", "sqeuclidean", "cosine"] = "euclidean",
    soft_margin: bool = False, normalize: bool = False, sample_weight: ArrayLike | None = None,
    refs: ArrayLike | None = None, ref_labels: ArrayLike | None = None,
    reduction: Literal["mean", "mean_nonzero", "sum"] = "mean", n_threads: int | None = None,
) -> float: ...
def lifted_structure_loss(
    embeddings: ArrayLike, labels: ArrayLike, *, margin: float = 1.0, normalize: bool = False,
    sample_weight: ArrayLike | None = None, refs: ArrayLike | None = None,
    ref_labels: ArrayLike | None = None, reduction: Literal["mean", "mean_nonzero", "sum"] = "mean",
    n_threads: int | None = None,
) -> float: ...
def circle_loss(
    embeddings: ArrayLike, labels: ArrayLike, *, margin: float = 0.4, gamma: float = 80.0,
    detach_weights: bool = True, normalize: bool = True, sample_weight: ArrayLike | None = None,
    refs: ArrayLike | None = None, ref_labels: ArrayLike | None = None,
    reduction: Literal["mean", "mean_nonzero", "sum"] = "mean", n_threads: int | None = None,
) -> float: ...
def multi_similarity_loss(
    embeddings: ArrayLike, labels: ArrayLike, *, alpha: float = 2.0, beta: float = 50.0,
    base: float = 0.5, normalize: bool = True, sample_weight: ArrayLike | None = None,
    refs: ArrayLike | None = None, ref_labels: ArrayLike | None = None,
    reduction: Literal["mean", "mean_nonzero", "sum"] = "mean", n_threads: int | None = None,
) -> float: ...
def sup_con_loss(
    embeddings: ArrayLike, labels: ArrayLike, *, temperature: float = 0.1, normalize: bool = True,
    sample_weight: ArrayLike | None = None, refs: ArrayLike | None = None,
    ref_labels: ArrayLike | None = None, reduction: Literal["mean", "mean_nonzero", "sum"] = "mean",
    n_threads: int | None = None,
) -> float: ...
def info_nce_loss(
    queries: ArrayLike, keys: ArrayLike, *, temperature: float = 0.07, symmetric: bool = False,
    normalize: bool = True, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "mean_nonzero", "sum"] = "mean", n_threads: int | None = None,
) -> float: ...
def n_pairs_loss(
    anchors: ArrayLike, positives: ArrayLike, *, normalize: bool = False,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "mean_nonzero", "sum"] = "mean", n_threads: int | None = None,
) -> float: ...
def nt_xent_loss(
    queries: ArrayLike, keys: ArrayLike, *, temperature: float = 0.5, normalize: bool = True,
    sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "mean_nonzero", "sum"] = "mean", n_threads: int | None = None,
) -> float: ...
def siglip_loss(
    queries: ArrayLike, keys: ArrayLike, *, scale: float = 10.0, bias: float = -10.0,
    normalize: bool = True, sample_weight: ArrayLike | None = None,
    reduction: Literal["mean", "mean_nonzero", "sum"] = "mean", n_threads: int | None = None,
) -> float: ...

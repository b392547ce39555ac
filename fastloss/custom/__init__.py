"""Losses of your own: a formula of one sample, differentiated and compiled."""

try:
    import numba as _numba  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastloss.custom needs Numba: pip install "fastloss[custom]"'
    ) from error

from fastloss.custom._loss import CustomLoss, loss

__all__ = ["CustomLoss", "loss"]

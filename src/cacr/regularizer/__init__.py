"""Where a model and a loss meet: `attach` adds an attention regularizer to any supported model."""

from cacr.regularizer.attach import attach
from cacr.regularizer.regularizer import Regularizer

__all__ = ["Regularizer", "attach"]

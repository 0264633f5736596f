"""The fractions of a model's configuration, held to what can be computed with: what the three families share."""

from typing import Any

from transformers import PreTrainedConfig

from cacr._messages import shortly


class RatedConfig(PreTrainedConfig):
    """A configuration whose epsilons, rates of dropout and width of fresh weights are checked as it is made."""

    def validate_rates(self) -> None:
        """Called by `huggingface_hub.dataclasses.strict`.

        Raises:
            ValueError: One is nan, negative, or larger than 1.
        """
        for name, value in vars(self).items():
            checked = name.endswith(("_eps", "_prob", "initializer_range")) and isinstance(value, int | float)
            if checked and not 0 <= value <= 1:
                raise ValueError(f"{name} is {shortly(value)}; expected a number from 0 to 1")

    def to_dict(self) -> dict[str, Any]:
        """Without the files of code beside the model that it was read with, which are not saved with this one."""
        found = super().to_dict()
        if type(self).__module__.startswith("cacr."):
            found.pop("auto_map", None)
        return found

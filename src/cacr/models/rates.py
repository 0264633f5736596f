"""The fractions of a model's configuration, held to what can be computed with: what the three families share."""

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

"""Any object-detection model of transformers in the detector's place: its last hidden states are the features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from cacr.regions.regions import Regions


class TransformersDetector:
    """Regions from a DETR, YOLOS, RT-DETR or another object-detection model of transformers.

    A region is a query with its best class; its feature is the query's last hidden state, so the features fit no
    model that was trained on others' features, but one trained on these.

    Args:
        model: An object-detection model.
        processor: Its image processor.
        max_regions: Regions per picture, the most confident first.
    """

    def __init__(self, model: Any, processor: Any, max_regions: int = 36):
        self.model, self.processor, self.max_regions = model.eval(), processor, max_regions
        self.width = int(model.config.hidden_size)
        """Numbers per region."""

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], max_regions: int = 36) -> TransformersDetector:
        """From a local folder or a name on the hub.

        Raises:
            ValueError: It is no object-detection model.
        """
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        try:
            model = AutoModelForObjectDetection.from_pretrained(name, trust_remote_code=False)
            processor = AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError) as error:
            first = (str(error).splitlines() or [""])[0]
            raise ValueError(
                f"{name} is no object-detection model of transformers ({first}); expected a folder with config.json, "
                "model.safetensors and preprocessor_config.json, of a DETR or YOLOS for example"
            ) from error
        return cls(model, processor, max_regions)

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Image.Image]) -> list[Regions]:
        """The regions of several pictures, each computed by itself."""
        return [self(picture) for picture in pictures]

    @torch.inference_mode()
    def __call__(self, picture: Image.Image) -> Regions:
        """The regions of one picture."""
        inputs = self.processor(images=picture.convert("RGB"), return_tensors="pt").to(self.device)
        out = self.model(**inputs)
        logits, boxes = out.logits[0].float(), out.pred_boxes[0].float()
        features = out.last_hidden_state[
            0, -len(logits) :
        ].float()  # YOLOS has the patches before its queries
        confidence, ids = _class_probabilities(self.model.config, logits).max(-1)
        order = confidence.argsort(descending=True, stable=True)[: self.max_regions]
        x, y, w, h = boxes[order].unbind(-1)
        corners = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], -1).clamp(0, 1).cpu()
        size = picture.size
        names = self.model.config.id2label
        return Regions(
            features[order].cpu(),
            corners,
            corners * torch.tensor([*size, *size]),
            size,
            object_ids=ids[order].cpu(),
            object_confidence=confidence[order].cpu(),
            object_names=[str(names.get(i, i)) for i in ids[order].tolist()],
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    def to(self, device: str | torch.device) -> TransformersDetector:
        """Move the model."""
        self.model.to(device)
        return self

    def settings(self) -> str:
        """All settings that the regions depend on."""
        return f"{self.max_regions} {self.processor.to_json_string()}"

    def describe(self) -> str:
        """One line for records."""
        return f"{type(self.model).__name__}, {self.width} numbers a region, {self.max_regions} regions"


def _class_probabilities(config: Any, logits: torch.Tensor) -> torch.Tensor:
    """Softmax with a last class for nothing, where the model has one; a sigmoid for each class otherwise."""
    return logits.softmax(-1)[:, :-1] if logits.shape[-1] == config.num_labels + 1 else logits.sigmoid()

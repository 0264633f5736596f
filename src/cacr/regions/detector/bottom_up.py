"""The bottom-up-attention detector (Anderson et al. 2018, arXiv:1707.07998), in the form of its PyTorch port.

A Faster R-CNN on ResNet-101 up to res4, trained on Visual Genome with 1,600 classes and 400 attributes. Its regions
are what UNITER, OSCAR, LXMERT and VisualBERT read. Key names are those of unc-nlp/frcnn-vg-finetuned.

Source: transformers' research project lxmert, modeling_frcnn.py (from detectron2 and airsplay/py-bottom-up-attention).
Wrong there and right here: colors of pictures from files, fractions of boxes, pictures with too few boxes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import torch
from PIL import Image
from torch import Tensor, nn

from cacr.regions.detector.backbone import Backbone
from cacr.regions.detector.configuration import DetectorConfig
from cacr.regions.detector.heads import Chosen, Predictor, RoiHeads, choose_regions
from cacr.regions.detector.loading import read_original, weight_sizes
from cacr.regions.detector.pictures import Prepared, batch, pixels_bgr, prepare
from cacr.regions.detector.proposals import ProposalGenerator, cell_anchors
from cacr.regions.regions import Regions


class BottomUpDetector(nn.Module):
    """Regions of pictures: ``detector(picture)``.

    Args:
        config: How pictures are prepared and regions chosen.
        sizes: Widths and depths of the network; the public checkpoint's if None.

    Examples:
        >>> detector = BottomUpDetector.new(DetectorConfig(short_side=64, min_regions=2, max_regions=5), width=8)
        >>> regions = detector(Image.new("RGB", (90, 60), "red"))
        >>> regions.features.shape, regions.size
        (torch.Size([5, 256]), (90, 60))
    """

    def __init__(self, config: DetectorConfig | None = None, sizes: Mapping[str, int] | None = None):
        super().__init__()
        s = FULL_SIZE | dict(sizes or {})
        self.config = config or DetectorConfig()
        self.backbone = Backbone(s["stem"], s["width"], s["narrow"], (s["res2"], s["res3"], s["res4"]))
        self.proposal_generator = ProposalGenerator(4 * s["width"], s["proposal_hidden"], s["anchors"])
        features = s["features"]
        predictor = Predictor(features, s["classes"], s["attributes"], s["embedding"], s["attribute_hidden"])
        self.roi_heads = RoiHeads(s["res5"], 4 * s["width"], features, s["last_narrow"], predictor)
        self.width = features
        """Numbers per region."""
        self.eval()

    @classmethod
    def from_original(
        cls, checkpoint: str | os.PathLike[str], config: str | os.PathLike[str] | Mapping | None = None
    ) -> BottomUpDetector:
        """The detector of a published checkpoint.

        Args:
            checkpoint: Its folder (pytorch_model.bin or a .safetensors, config.yaml or .json), one such file of
                weights, or a name on the hub: "unc-nlp/frcnn-vg-finetuned".
            config: The configuration file or its mapping, if it is not in the folder. Without any: our defaults.

        Raises:
            FileNotFoundError: Nothing is there.
            ValueError: The weights are broken, or not of this detector.
        """
        state, settings, where = read_original(checkpoint, config)
        sizes = weight_sizes(state, where)
        with torch.device("meta"):  # sizes of a stranger's weights cost nothing yet
            wanted = cls(settings, sizes).state_dict()
        unsaid = {name for name in wanted if name.endswith("num_batches_tracked")}
        lost = [name for name in wanted if name not in state and name not in unsaid]
        strange = [name for name in state if name not in wanted]
        wrong = [name for name in wanted if name in state and wanted[name].shape != state[name].shape]
        if lost or strange or wrong:
            first = (lost or strange or wrong)[0]
            raise ValueError(
                f"{where} is no bottom-up-attention detector: {len(lost)} of its tensors are missing, {len(strange)} "
                f"are unknown, {len(wrong)} of another shape; first {first}. Expected the tensors of "
                "unc-nlp/frcnn-vg-finetuned"
            )
        detector = cls(settings, sizes)
        detector.load_state_dict(state, strict=False)
        return detector.eval()

    @classmethod
    def new(cls, config: DetectorConfig | None = None, width: int = 64) -> BottomUpDetector:
        """A random detector, for tests and trials: at ``width`` 64 as large as the public one."""
        narrow = width / 64
        sizes = {name: max(1, int(FULL_SIZE[name] * narrow)) for name in _SCALED} | {"anchors": 12}
        detector = cls(config, sizes)
        with torch.no_grad():
            detector.proposal_generator.anchor_generator.cell_anchors[0].copy_(cell_anchors())
        return detector

    def forward(self, picture: Image.Image | Tensor) -> Regions:
        """The regions of one picture: a Pillow image, or [height, width, 3] uint8 in blue, green, red."""
        return self.detect([picture])[0]

    @torch.inference_mode()
    def detect(self, pictures: Sequence[Image.Image | Tensor], pad: bool = False) -> list[Regions]:
        """The regions of several pictures.

        Args:
            pictures: As for one.
            pad: Compute pictures of different sizes in one padded batch, as the reference does: what a picture gets
                then depends on its neighbors. If not, only pictures of one size share a batch.

        Raises:
            ValueError: A picture in which nothing at all is proposed.
        """
        device = self.device
        pixels = [p if isinstance(p, Tensor) else pixels_bgr(p) for p in pictures]
        images = [prepare(p.to(device), self.config) for p in pixels]
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, image in enumerate(images):
            groups.setdefault(() if pad else tuple(image.shape), []).append(i)
        found: dict[int, Regions] = {}
        for members in groups.values():
            prepared = batch(
                [images[i] for i in members], [(pixels[i].shape[0], pixels[i].shape[1]) for i in members]
            )
            found |= dict(zip(members, self._regions(prepared), strict=True))
        return [found[i] for i in range(len(pixels))]

    def _regions(self, prepared: Prepared) -> list[Regions]:
        features = self.backbone(prepared.images.to(self.dtype))
        proposals, _ = self.proposal_generator(features, prepared.sizes, self.config)
        if not all(len(own) for own in proposals):
            raise ValueError(
                "nothing is proposed in a picture; its values, or the detector's weights, are broken"
            )
        pooled = self.roi_heads(features, proposals, self.config.pooled)
        logits, attributes, deltas = (x.float() for x in self.roi_heads.box_predictor(pooled))
        counts = [len(own) for own in proposals]
        parts = (x.split(counts) for x in (pooled.float(), logits, attributes, deltas))
        every = zip(*parts, proposals, prepared.sizes, prepared.raw_sizes, strict=True)
        return [self._one(*one) for one in every]

    def _one(
        self,
        pooled: Tensor,
        logits: Tensor,
        attributes: Tensor,
        deltas: Tensor,
        proposals: Tensor,
        size: tuple[int, int],
        raw_size: tuple[int, int],
    ) -> Regions:
        chosen: Chosen = choose_regions(logits, deltas, proposals, size, self.config)
        confidence, ids = attributes[chosen.proposals, :-1].softmax(-1).max(-1)
        y, x = (torch.tensor(raw / scaled) for raw, scaled in zip(raw_size, size, strict=True))
        boxes = chosen.boxes.cpu() * torch.stack([x, y, x, y])
        names = object_names() if logits.shape[1] - 1 == len(object_names()) else None
        return Regions.from_pixels(
            pooled[chosen.proposals].cpu(),
            boxes,
            (raw_size[1], raw_size[0]),
            object_ids=chosen.object_ids.cpu(),
            object_confidence=chosen.object_confidence.cpu(),
            attribute_ids=ids.cpu(),
            attribute_confidence=confidence.cpu(),
            object_names=None if names is None else [names[i] for i in chosen.object_ids.tolist()],
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.backbone.stem.conv1.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.backbone.stem.conv1.weight.dtype

    def settings(self) -> str:
        """All settings that the regions depend on."""
        return repr(self.config)

    def describe(self) -> str:
        """One line for records."""
        c = self.config
        return (
            f"bottom-up attention, {self.width} numbers a region, {c.min_regions} to {c.max_regions} regions, "
            f"{c.short_side}/{c.long_side} pixels, thresholds {', '.join(map(str, c.thresholds))}"
        )


FULL_SIZE = {
    "stem": 64,
    "width": 256,
    "narrow": 64,
    "res2": 3,
    "res3": 4,
    "res4": 23,
    "res5": 3,
    "last_narrow": 512,
    "features": 2048,
    "proposal_hidden": 512,
    "anchors": 12,
    "classes": 1600,
    "attributes": 400,
    "embedding": 256,
    "attribute_hidden": 512,
}
"""Sizes of the public checkpoint."""
_SCALED = (
    "stem",
    "width",
    "narrow",
    "last_narrow",
    "features",
    "proposal_hidden",
    "embedding",
    "attribute_hidden",
)


@cache
def object_names() -> tuple[str, ...]:
    """Names of the 1,600 classes; where there are several, the first. Source: bottom-up-attention (MIT)."""
    text = (files("cacr.regions.detector") / "objects.txt").read_text(encoding="utf-8")
    return tuple(line.split(",")[0] for line in text.splitlines())


@cache
def attribute_names() -> tuple[str, ...]:
    """Names of the 400 attributes."""
    text = (files("cacr.regions.detector") / "attributes.txt").read_text(encoding="utf-8")
    return tuple(line.split(",")[0] for line in text.splitlines())

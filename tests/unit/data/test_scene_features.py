"""The features of drawn scenes: their axes are those that make regions uncorrelated and of one scale."""

import numpy as np
import torch

from cacr.data.scenes import features, scene


def test_the_fitted_axes_whiten_the_regions_that_they_were_fitted_on():
    fitted, shipped = (
        features.fit_whitening(120),
        dict(zip(("mean", "axes"), features._whitening(), strict=True)),
    )
    assert {name: value.shape for name, value in fitted.items()} == {
        name: value.shape for name, value in shipped.items()
    }
    scenes = [scene(0, i) for i in range(120)]
    raw = np.concatenate([features.appearance(one.image, list(one.boxes)) for one in scenes])
    white = (torch.from_numpy(raw).float() - fitted["mean"]) @ fitted["axes"]
    torch.testing.assert_close(white.mean(0), torch.zeros(40), atol=1e-3, rtol=0)
    torch.testing.assert_close(white.T @ white / len(white), torch.eye(40), atol=1e-2, rtol=0)

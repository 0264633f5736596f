"""A checkpoint of open_clip that is changed: its weights, its configuration."""

import json

from safetensors.torch import load_file, save_file

from cacr.scorers.contrastive.open_clip import CONFIG

WEIGHTS = "open_clip_model.safetensors"


def change_weights(folder, change):
    """Weights changed by ``change(state)``."""
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file({name: value.contiguous() for name, value in state.items()}, folder / WEIGHTS)


def configure(folder, part=None, **values):
    told = json.loads((folder / CONFIG).read_text())
    (told["model_cfg"][part] if part else told["model_cfg"]).update(values)
    (folder / CONFIG).write_text(json.dumps(told))

"""A trained model on the hub, with a card that says how it was made and how well it does."""

from cacr.publishing.card import model_card
from cacr.publishing.hub import publish

__all__ = ["model_card", "publish"]

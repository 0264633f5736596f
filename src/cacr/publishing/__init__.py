"""A trained model, features or records on the hub, with a card that says how they were made."""

from cacr.publishing.card import model_card
from cacr.publishing.data_card import data_card
from cacr.publishing.hub import publish, publish_data

__all__ = ["data_card", "model_card", "publish", "publish_data"]

"""Look into a scorer's model: the attention of a pair, with what its rows and columns stand for."""

from cacr.scorers.looking.look import can_look, look, look_many

__all__ = ["can_look", "look", "look_many"]

"""Run again what a folder holds, and compare: `cacr repeat`."""

from cacr.repeating.run import Repeated, repeat

__all__ = ["Repeated", "repeat"]

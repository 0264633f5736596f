"""The attention page: one HTML file without server or network, to look at what a model attends to."""

from cacr.explore.page.item import Item
from cacr.explore.page.writing import Written, write_page

__all__ = ["Item", "Written", "write_page"]

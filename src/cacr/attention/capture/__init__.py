"""Watch one attention module while a model runs, whatever kernel it uses: three back ends behind one `Tap`."""

from cacr.attention.capture.tap import BACKENDS, Tap, backend_of, tap

__all__ = ["BACKENDS", "Tap", "backend_of", "tap"]

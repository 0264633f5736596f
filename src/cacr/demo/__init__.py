"""The main job: fine-tune with each attention loss, measure on fresh scenes, write a report."""

from cacr.demo.run import DemoConfig, run_demo

__all__ = ["DemoConfig", "run_demo"]

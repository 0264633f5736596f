"""The main job: fine-tune with each attention loss, measure on a fresh set, write a report with intervals and figures."""

from cacr.demo.run import DemoConfig, run_demo

__all__ = ["DemoConfig", "run_demo"]

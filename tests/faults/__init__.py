"""Our commands, broken in many ways, resumed, and compared with runs never broken: ``python -m tests.faults``."""

"""All faults by name."""

from tests.faults import disk, killing, several, stopping
from tests.faults.fault import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault for file in (killing, stopping, several, disk) for fault in file.FAULTS
}
"""Name -> fault, in the order of the table."""

"""The table of signals: one entry per kind of node. A new kind is one file and one line here."""

from edgelstm_firmware_sim.signals.bearing import Bearing
from edgelstm_firmware_sim.signals.pump import Pump
from edgelstm_firmware_sim.signals.signal import Signal

NODES: dict[str, type[Signal]] = {"pump": Pump, "bearing": Bearing}

__all__ = ["NODES", "Signal"]

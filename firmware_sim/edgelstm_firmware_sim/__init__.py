"""Pretend sensor devices: physical signals with faults that grow, published over MQTT as firmware does.

Nothing here knows edgelstm: it is the outside world.
"""

from edgelstm_firmware_sim.faults import Fault
from edgelstm_firmware_sim.recording import Recording, record
from edgelstm_firmware_sim.signals import NODES

__all__ = ["NODES", "Fault", "Recording", "record"]

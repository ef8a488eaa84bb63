"""Trained model in, int8 model file out.

model = edgelstm_converters.convert(network, calibration=history)
edgelstm.model_file.save(model, "pump.elstm")
"""

from edgelstm_converters.conversion import Conversion, convert, convert_with_report
from edgelstm_converters.execution import Execution

__all__ = ["Conversion", "Execution", "convert", "convert_with_report"]

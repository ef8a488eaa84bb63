"""Trained model in, int8 model file out.

model = edgelstm_converters.convert(network, calibration=history)
edgelstm.model_file.save(model, "pump.elstm")
"""

from edgelstm_converters.conversion import Conversion, convert, convert_with_report
from edgelstm_converters.execution import Execution
from edgelstm_converters.float_model import FloatModel

__all__ = ["Conversion", "Execution", "FloatModel", "convert", "convert_with_report"]

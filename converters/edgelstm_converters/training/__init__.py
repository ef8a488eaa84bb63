"""From recordings to a model file with a detector: look at the data, train, convert, calibrate. Needs PyTorch.

from edgelstm_converters.training import ForecastDetector
detector = ForecastDetector().fit(history)
detector.predict(stream)
"""

from edgelstm_converters.training.estimator import ForecastDetector
from edgelstm_converters.training.settings import TrainingSettings
from edgelstm_converters.training.workflow import Trained, train

__all__ = ["ForecastDetector", "Trained", "TrainingSettings", "train"]

"""What a detector is told: policies, budget and calibrated constants, stored in the model file."""

import msgspec


class DetectorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Policies and calibrated constants of an anomaly detector."""

    period_ns: int

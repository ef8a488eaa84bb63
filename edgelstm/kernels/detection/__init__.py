"""The stages of the detector: scalar formulas in IEEE double, one rounded operation after another.

Every file is one stage, written once: as Python it is the specification, compiled it is what runs. Only +, -,
*, / and the exactly rounded square root are used, so the bits are the same compiled or not and in any language
that does not contract a product and a sum into one operation.
"""

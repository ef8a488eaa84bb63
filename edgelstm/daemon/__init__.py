"""The daemon: samples from MQTT to detectors, their alerts through the outbox back to MQTT.

in-link → inbox → worker: decode, detector, one transaction, acknowledge → outbox → publisher → out-link
"""

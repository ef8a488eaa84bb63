"""Who we are to the broker, and whom we believe: password and certificates, from files that may change while we run."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from edgelstm.config import Config
from edgelstm.errors import ConfigError


def password(config: Config) -> str | None:
    """Return the password: from its file, from systemd's credential mqtt-password, or from the environment."""
    path = config.mqtt.password_file
    credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere")) / "mqtt-password"
    if not path and credential.exists():
        path = str(credential)
    if path:
        try:
            return Path(path).read_text().rstrip("\n")
        except OSError as exc:
            raise ConfigError(f"mqtt.password_file: {path}: cannot be read: {exc.strerror}") from None
    return os.environ.get("EDGELSTM_MQTT_PASSWORD")


def tls_context(config: Config) -> ssl.SSLContext | None:
    """Return what `mqtts://` connects with, None for `mqtt://`; raises ConfigError where a file cannot be used."""
    if config.broker.scheme != "mqtts":
        return None
    context = ssl.create_default_context()
    try:
        reload_tls(context, config)
    except OSError as exc:  # SSLError is one
        raise ConfigError(f"mqtt: the certificate files cannot be used: {exc}") from None
    return context


def reload_tls(context: ssl.SSLContext, config: Config) -> None:
    """Read the files again in place: certificates are rotated while we run."""
    if config.mqtt.ca_file:
        context.load_verify_locations(config.mqtt.ca_file)
    if config.mqtt.cert_file:
        context.load_cert_chain(config.mqtt.cert_file, config.mqtt.key_file or None)

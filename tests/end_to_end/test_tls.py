"""Certificates: our own authority, client certificates, wrong ones, and new ones while we run."""

import datetime
import getpass
import ipaddress
import threading

import paho.mqtt.client as paho
import pytest
from test_inputs import rewrite

from edgelstm_firmware_sim import Fault, record
from rig import wait_for

x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402  only with x509
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

pytestmark = pytest.mark.slow
RECORDING = record("pump", 30, 5, [Fault("cavitation", 12, 5)])
NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """A certificate authority that signs for 127.0.0.1 and for clients."""

    def __init__(self, folder, name):
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key, authority=True)
        (folder / "ca.pem").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, key, *, authority=False):
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=1))
            .not_valid_after(NOW + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def issue(self, name):
        """Write NAME.pem and NAME.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]), key)
        (self.folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / f"{name}.key").write_bytes(private)


def issue_all(folder, name):
    authority = Authority(folder, name)
    for wanted in ("broker", "client"):
        authority.issue(wanted)


@pytest.fixture
def broker_settings(tmp_path):
    issue_all(tmp_path, "first authority")
    return (
        f"cafile {tmp_path / 'ca.pem'}\ncertfile {tmp_path / 'broker.pem'}\n"
        f"keyfile {tmp_path / 'broker.key'}\nrequire_certificate true\nuser {getpass.getuser()}"
    )


@pytest.fixture
def tls_daemon(make_daemon, broker):
    daemon = make_daemon(
        mqtt='ca_file = "ca.pem"\ncert_file = "client.pem"\nkey_file = "client.key"\nreconnect_min = "200ms"'
    )
    return rewrite(daemon, ("mqtt://127", "mqtts://127"))


def client(broker, folder):
    """A sensor and reader with a certificate of the authority of now."""
    seen = []
    made = paho.Client(paho.CallbackAPIVersion.VERSION2)
    made.tls_set(str(folder / "ca.pem"), str(folder / "client.pem"), str(folder / "client.key"))
    made.on_connect = lambda client, *_: client.subscribe("edgelstm/gw/stream/+/score", 1)
    made.on_message = lambda client, data, message: seen.append(message.payload)
    subscribed = threading.Event()
    made.on_subscribe = lambda *_: subscribed.set()
    made.connect("127.0.0.1", broker.port)
    made.loop_start()
    assert subscribed.wait(20)  # or the score of the first sample is out before anybody hears it
    return made, seen


def send(sensor, rows):
    names = ("flow", "pressure", "current", "vibration")
    for row in rows:
        values = ",".join(
            f'"{name}":{value}' for name, value in zip(names, RECORDING.values[row].tolist(), strict=True)
        )
        payload = f'{{"seq":{row},"ts":{RECORDING.times_ns[row] / 1e9},{values}}}'
        sensor.publish("plant/pump1/telemetry", payload, qos=1).wait_for_publish(20)


def test_certificates_are_checked_and_may_change_while_we_run(tls_daemon, broker, tmp_path):
    daemon = tls_daemon.start()
    sensor, seen = client(broker, tmp_path)
    send(sensor, range(40))
    wait_for(lambda: len(seen) == 10, what="scores over TLS")
    sensor.disconnect()
    sensor.loop_stop()
    issue_all(tmp_path, "second authority")
    broker.kill()
    broker.start()
    wait_for(
        lambda: daemon.text().count("link=in event=subscribed") == 2,
        what="the connection under the new authority",
    )
    wait_for(lambda: daemon.text().count("link=out event=connected") == 2, what="the other one")
    sensor, seen = client(broker, tmp_path)
    send(sensor, range(40, 60))
    wait_for(lambda: len(seen) == 20, what="scores under the new authority")
    sensor.disconnect()
    sensor.loop_stop()
    assert daemon.stop() == 0


@pytest.mark.parametrize("wrong", ["authority", "host"])
def test_a_broker_that_cannot_prove_who_it_is_is_not_spoken_to(tls_daemon, broker, tmp_path, wrong):
    if wrong == "authority":
        (tmp_path / "other").mkdir()
        Authority(tmp_path / "other", "somebody else")
        rewrite(tls_daemon, ('ca_file = "ca.pem"', 'ca_file = "other/ca.pem"'))
    else:
        rewrite(tls_daemon, ("mqtts://127.0.0.1", "mqtts://localhost"))
    daemon = tls_daemon.start(connected=False)
    wait_for(
        lambda: "CERTIFICATE_VERIFY_FAILED" in daemon.text() or "certificate verify failed" in daemon.text(),
        what="the refusal",
    )
    assert "event=connected" not in daemon.text()
    assert daemon.stop() == 0


def test_a_certificate_file_that_is_missing_is_one_line(tls_daemon, tmp_path):
    (tmp_path / "client.key").unlink()
    daemon = tls_daemon.start(connected=False)
    assert daemon.process.wait(20) == 78
    assert "the certificate files cannot be used" in daemon.text() and "Traceback" not in daemon.text()

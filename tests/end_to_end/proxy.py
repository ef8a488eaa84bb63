"""A TCP proxy between the daemon and its broker, for what happens to networks."""

import contextlib
import socket
import struct
import threading
import time


class Proxy:
    """Forwards connections to a port of this machine.

    mode  pass: as it is; blackhole: accepted, and nothing more comes through, as on a link that was cut;
          slow: every piece a little late; refuse: no connection is accepted
    only  bytes that a connection begins with somewhere, such as its client id, to be affected by blackhole and slow
    """

    def __init__(self, port):
        self.target, self.mode, self.delay_s, self.only = port, "pass", 0.05, b""
        self._sockets, self._lock = set(), threading.Lock()
        self._closing = threading.Event()
        self._listen()
        self.port = self._listener.getsockname()[1]

    def _listen(self, port=0):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(16)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets |= {client, server}
            begun = []  # with what the client said first
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink, begun), daemon=True).start()

    def _pump(self, source, sink, begun):
        with contextlib.suppress(OSError):
            while chunk := source.recv(65_536):
                if not begun:
                    begun.append(chunk)
                while self._is("blackhole", begun) and not self._closing.is_set():
                    time.sleep(0.01)
                if self._is("slow", begun):
                    time.sleep(self.delay_s)
                sink.sendall(chunk)
        while self._is("blackhole", begun) and not self._closing.is_set():
            time.sleep(0.01)  # nobody hears of an end either
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _is(self, mode, begun):
        return self.mode == mode and all(self.only in chunk for chunk in begun)

    def refuse(self):
        """Take no more connections, and end those that there are."""
        self.mode = "refuse"
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def accept_again(self):
        self.mode = "pass"
        self._listen(self.port)

    def reset(self):
        """End every connection with a RST."""
        with self._lock:
            for end in self._sockets:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RD)
                end.close()
            self._sockets.clear()

    def close(self):
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

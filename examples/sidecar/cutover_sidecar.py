"""A client of `cutover sidecar` with nothing but Python's standard library.

    sidecar = Sidecar("orders.sock")
    sidecar.put("acme", "order-1", {"items": 3})
    sidecar.get("acme", "order-1")  # {'items': 3}

One object for each thread: it keeps one connection.
"""

import http.client
import json
import select
import socket


class NotApplied(Exception):
    """The write has not taken effect and never will. `retry`: the same request may succeed later."""

    def __init__(self, message, retry):
        super().__init__(message)
        self.retry = retry


class UnknownOutcome(Exception):
    """The write may have taken effect, or may still do so. A retry is a new write."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("sidecar", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Sidecar:
    # The sidecar gives up a store call after 5 s; a write makes a few.
    def __init__(self, path, timeout=30):
        self._connection = _UnixConnection(path, timeout)

    def get(self, tenant, key):
        """The record, or None."""
        answer = self.call("Get", {"tenant": tenant, "key": key})
        return json.loads(answer["json"]) if answer["found"] else None

    def put(self, tenant, key, record):
        """Replaces the whole record."""
        self.call("Put", {"tenant": tenant, "key": key, "json": json.dumps(record)})

    def delete(self, tenant, key):
        self.call("Delete", {"tenant": tenant, "key": key})

    def decide(self, tenant):
        """Where the tenant reads and writes now: to show it, not to act by it."""
        return self.call("Decide", {"tenant": tenant})["rung"]

    def _is_closed(self):
        """Whether the sidecar has closed the idle connection: then there is something to read, the end."""
        sock = self._connection.sock
        return sock is not None and bool(select.select([sock], [], [], 0)[0])

    def call(self, method, request):
        """One call. An exception says what became of it."""
        sent = False
        try:
            if self._is_closed():
                self._connection.close()
            if self._connection.sock is None:
                self._connection.connect()
            sent = True
            body = json.dumps(request)
            self._connection.request("POST", f"/api/v1/{method}", body, {"content-type": "application/json"})
            answer = self._connection.getresponse()
            status, body = answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            # The next call uses a new connection.
            self._connection.close()
            if sent:
                raise UnknownOutcome(f"{method}: no answer: {error}") from error
            raise NotApplied(f"{method}: the sidecar can't be reached: {error}", retry=True) from error
        if status == 200:
            return body
        message = f"{method}: {body['message']}"
        reason = body.get("reason") or ("NOT_APPLIED" if status < 500 else "UNKNOWN_OUTCOME")
        if reason == "UNKNOWN_OUTCOME":
            raise UnknownOutcome(message)
        raise NotApplied(message, retry=status in (409, 429, 503))

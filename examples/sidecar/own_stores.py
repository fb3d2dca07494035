"""A service that calls its stores itself: the sidecar only says where, and holds the operation.

    python3 own_stores.py SOCKET OLD.db NEW.db KEY VALUE

writes a record of tenant acme, reads it, and prints both outcomes. docs/protocol.md, "What a caller of a sidecar does at
each rung", has the rules. Prefer Get, Put and Delete of a sidecar (orders.py), which follow them by themselves.
"""

import sqlite3
import sys
import time

from cutover_sidecar import NotApplied, Sidecar, UnknownOutcome

DONE, NOT_APPLIED, INDETERMINATE = (f"OPERATION_OUTCOME_{name}" for name in ("DONE", "NOT_APPLIED", "INDETERMINATE"))
SOURCE, TARGET = "STORE_ROLE_SOURCE", "STORE_ROLE_TARGET"
BOTH = ("RUNG_DUAL", "RUNG_MIRRORED", "RUNG_TARGET_FIRST")


def now():
    """Includes the time for which the machine was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Late(Exception):
    """The deadline has passed: no further store call."""


class Store:
    """A table of whole records, as docs/spec.md has it. A record without a value is a tombstone."""

    def __init__(self, path):
        # At once: a statement waits for nobody beyond the deadline. A service with a server sets its timeout instead.
        self._database = sqlite3.connect(path, timeout=1, isolation_level=None)

    def get(self, tenant, key):
        """Version and value, or None."""
        sql = "SELECT cutover_version, value FROM orders WHERE tenant = ? AND key = ?"
        return self._database.execute(sql, (tenant, key)).fetchone()

    def put_if_newer(self, tenant, key, version, value):
        """None if it was put, else the version that is there."""
        sql = (
            "INSERT INTO orders (tenant, key, cutover_version, value) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (tenant, key) DO UPDATE SET cutover_version = excluded.cutover_version, value = excluded.value "
            "WHERE excluded.cutover_version > cutover_version"
        )
        if self._database.execute(sql, (tenant, key, version, value)).rowcount == 1:
            return None
        return self.get(tenant, key)[0]


class Operation:
    """One operation, from Begin to End. Makes the store calls, with their times, as long as the deadline allows."""

    def __init__(self, sidecar, stores, tenant, key, kind):
        began = now()
        self.begun = sidecar.call("Begin", {"tenant": tenant, "operation": kind})
        self._deadline = began + self.begun["finish_within_ms"] / 1000
        self._sidecar, self._stores, self._id = sidecar, stores, (tenant, key)
        self._calls = []

    def get(self, store):
        return self._timed(store, "OPERATION_READ", lambda: self._stores[store].get(*self._id))

    def put(self, store, version, value):
        return self._timed(
            store, "OPERATION_WRITE", lambda: self._stores[store].put_if_newer(*self._id, version, value)
        )

    def stamp(self, above):
        return int(self._sidecar.call("Stamp", {"id": self.begun["id"], "above": above})["version"])

    def end(self, outcome):
        """What may be told to the user: not what this process knows, but what the sidecar says."""
        ended = self._sidecar.call("End", {"id": self.begun["id"], "outcome": outcome, "calls": self._calls})
        return ended["outcome"]

    def _timed(self, store, operation, call):
        began = now()
        if began >= self._deadline:
            raise Late
        counted = {"store": store, "operation": operation}
        self._calls.append(counted)
        try:
            answer = call()
            counted["found"] = operation == "OPERATION_READ" and answer is not None and answer[1] is not None
            return answer
        except sqlite3.Error:
            counted["error"] = "CALL_ERROR_OTHER"
            raise
        finally:
            counted["latency_us"] = int((now() - began) * 1_000_000)


def write(sidecar, stores, tenant, key, value):
    """Writes a record; `value` None deletes it. Returns the outcome."""
    operation = Operation(sidecar, stores, tenant, key, "OPERATION_WRITE")
    try:
        outcome = _write(operation, value)
    except NotApplied:
        outcome = NOT_APPLIED  # From Stamp, which comes before anything was put.
    try:
        return operation.end(outcome)
    except (NotApplied, UnknownOutcome):
        return INDETERMINATE if outcome != NOT_APPLIED else NOT_APPLIED


def _write(operation, value):
    rung, version = operation.begun["rung"], int(operation.begun["version"])
    try:
        if rung == "RUNG_TARGET_FIRST":
            there = operation.get(TARGET)
            version = operation.stamp(there[0] if there else 0)
        first = TARGET if rung == "RUNG_TARGET_ONLY" else SOURCE
    except (sqlite3.Error, Late):
        return NOT_APPLIED
    try:
        while (newer := operation.put(first, version, value)) is not None:
            version = operation.stamp(newer)
    except Late:
        return NOT_APPLIED
    except sqlite3.Error:
        # SQLite's errors say that nothing was written. After a timeout of a server's it would be INDETERMINATE.
        return NOT_APPLIED
    if rung in BOTH:
        try:
            # Something newer there is success: a concurrent write superseded this one.
            operation.put(TARGET, version, value)
        except (sqlite3.Error, Late):
            return DONE if rung == "RUNG_DUAL" else INDETERMINATE
    return DONE


def read(sidecar, stores, tenant, key):
    """Reads a record. Returns the outcome and the value."""
    operation = Operation(sidecar, stores, tenant, key, "OPERATION_READ")
    try:
        record, outcome = _read(operation), DONE
    except (sqlite3.Error, Late):
        record, outcome = None, NOT_APPLIED
    try:
        outcome = operation.end(outcome)
    except (NotApplied, UnknownOutcome):
        outcome = NOT_APPLIED
    return outcome, record[1] if record and outcome == DONE else None


def _read(operation):
    rung = operation.begun["rung"]
    if rung in ("RUNG_SOURCE_ONLY", "RUNG_DUAL", "RUNG_MIRRORED"):
        record = operation.get(SOURCE)
        if rung == "RUNG_MIRRORED" and operation.begun["level"] == "LEVEL_LINEARIZABLE" and record:
            there = operation.get(TARGET)
            if not there or there[0] < record[0]:
                operation.put(TARGET, *record)
        return record
    while True:
        record = operation.get(TARGET)
        if record or rung == "RUNG_TARGET_ONLY" or operation.begun["no_fallback"]:
            return record
        record = operation.get(SOURCE)
        # Copied before it is returned, tombstones too. If something newer is there by now, that is the answer.
        if not record or operation.put(TARGET, *record) in (None, record[0]):
            return record


if __name__ == "__main__":
    socket_path, old, new, record_key, text = sys.argv[1:]
    both = {SOURCE: Store(old), TARGET: Store(new)}
    client = Sidecar(socket_path)
    print("write:", write(client, both, "acme", record_key, text.encode()))
    print("read:", *read(client, both, "acme", record_key))

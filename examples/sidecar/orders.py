"""Reads and writes an order through a sidecar: python3 orders.py SOCKET"""

import sys

from cutover_sidecar import NotApplied, Sidecar

sidecar = Sidecar(sys.argv[1])
print("acme is at", sidecar.decide("acme"))

sidecar.put("acme", "order-1", {"items": 3, "total": 12.5})
order = sidecar.get("acme", "order-1")
print("order-1:", order)

order["items"] += 1
sidecar.put("acme", "order-1", order)
print("order-1:", sidecar.get("acme", "order-1"))

sidecar.delete("acme", "order-1")
print("order-1:", sidecar.get("acme", "order-1"))

try:
    sidecar.put("acme", "order-1", [])
except NotApplied as error:
    print("refused, retry:", error.retry)

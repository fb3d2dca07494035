"""Asks a controller through OpenFeature's providers for Python: providers.py GRPC_PORT HTTP_URL

The first line has what each answers: a flag, one that does not exist, one without a tenant, one of a wrong type. The
second has the flags that flagd's provider said had changed when the tenant acme went to dual.
"""

import json
import queue
import sys

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent

port, url = sys.argv[1:]
flagd = FlagdProvider(host="127.0.0.1", port=int(port), resolver_type=ResolverType.RPC, deadline_ms=30000)
api.set_provider(OFREPProvider(url), domain="ofrep")
api.set_provider(flagd, domain="flagd")
acme = EvaluationContext(targeting_key="acme")


def ask(call, flag, context, default):
    found = call(flag, default, context)
    reason = str(getattr(found.reason, "value", found.reason))
    code = found.error_code and found.error_code.value
    return [found.value, found.variant, reason, code, dict(found.flag_metadata)]


def answers(client):
    text = client.get_string_details
    return [
        ask(text, "orders", acme, "none"),
        ask(text, "payments", acme, "none"),
        ask(text, "orders", EvaluationContext(), "none"),
        ask(client.get_boolean_details, "orders", acme, False),
    ]


clients = {name: api.get_client(name) for name in ["ofrep", "flagd"]}
said = {name: answers(client) for name, client in clients.items()}
said["object"] = ask(clients["flagd"].get_object_details, "orders", acme, {})
changes = queue.Queue()
clients["flagd"].add_handler(
    ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, lambda event: changes.put(event.flags_changed)
)
print(json.dumps(said), flush=True)
while True:
    changed = changes.get(timeout=30)
    if clients["flagd"].get_string_value("orders", "none", acme) == "dual":
        break
print(json.dumps(changed), flush=True)
api.shutdown()

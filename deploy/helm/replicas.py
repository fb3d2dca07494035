"""Checks rendered charts of several controllers: their names, and where they run."""

import sys

import yaml


def monitors(path, manifests):
    """Each ServiceMonitor scrapes one service: pods of two would be scraped twice."""
    for monitor in [it for it in manifests if it["kind"] == "ServiceMonitor"]:
        selector = monitor["spec"]["selector"]
        left_out = [it["key"] for it in selector.get("matchExpressions", []) if it["operator"] == "DoesNotExist"]
        scraped = [
            it["metadata"]["name"]
            for it in manifests
            if it["kind"] == "Service"
            and selector["matchLabels"].items() <= it["metadata"]["labels"].items()
            and not set(left_out) & set(it["metadata"]["labels"])
        ]
        assert len(scraped) == 1, f"{path}: the ServiceMonitor scrapes {scraped}"


def check(path):
    manifests = [manifest for manifest in yaml.safe_load_all(open(path)) if manifest]
    of = lambda kind: [manifest for manifest in manifests if manifest["kind"] == kind]
    controllers, = of("StatefulSet")
    spec, pod = controllers["spec"], controllers["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    named, = [it for it in of("Service") if it["metadata"]["name"] == spec["serviceName"]]
    assert named["spec"]["clusterIP"] == "None", f"{path}: pods have no names"
    assert named["spec"]["publishNotReadyAddresses"] is True, f"{path}: pods on standby have no names"
    assert named["spec"]["selector"].items() <= labels, f"{path}: it names other pods"
    spread = {it["topologyKey"]: it for it in pod["spec"]["topologySpreadConstraints"]}
    assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}, f"{path}: {set(spread)}"
    for it in spread.values():
        assert it["labelSelector"]["matchLabels"].items() <= labels, f"{path}: it spreads other pods"
    assert not of("PodDisruptionBudget"), f"{path}: the leader could never be evicted"
    monitors(path, manifests)
    for policy in of("NetworkPolicy"):
        assert len(policy["spec"]["egress"]) > 1, f"{path}: the database can't be reached"


for path in sys.argv[1:]:
    if path.endswith("everything.yaml"):
        monitors(path, [manifest for manifest in yaml.safe_load_all(open(path)) if manifest])
    else:
        check(path)

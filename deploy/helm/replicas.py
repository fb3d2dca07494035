"""Checks rendered charts of several controllers: their names, and where they run."""

import sys

import yaml


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
    for policy in of("NetworkPolicy"):
        assert len(policy["spec"]["egress"]) > 1, f"{path}: the database can't be reached"


for path in sys.argv[1:]:
    check(path)

"""The kinds of network policies, and what configures their engines. Source: each project's CRDs.

Calico serves one spec in two groups: ``projectcalico.org`` by its own API server, ``crd.projectcalico.org`` as it is
stored. Its Staged kinds enforce nothing and are not declared.
"""

from iocaudit.core.kinds.kind import Kind

_CALICO, _STORED, _CILIUM = "projectcalico.org", "crd.projectcalico.org", "cilium.io"

CALICO_NETWORK_POLICY = Kind(_CALICO, "v3", "NetworkPolicy", "networkpolicies")
CALICO_GLOBAL_NETWORK_POLICY = Kind(_CALICO, "v3", "GlobalNetworkPolicy", "globalnetworkpolicies", namespaced=False)
CALICO_TIER = Kind(_CALICO, "v3", "Tier", "tiers", namespaced=False)
CALICO_HOST_ENDPOINT = Kind(_CALICO, "v3", "HostEndpoint", "hostendpoints", namespaced=False)
FELIX_CONFIGURATION = Kind(_CALICO, "v3", "FelixConfiguration", "felixconfigurations", namespaced=False)

STORED_NETWORK_POLICY = Kind(_STORED, "v1", "NetworkPolicy", "networkpolicies")
STORED_GLOBAL_NETWORK_POLICY = Kind(_STORED, "v1", "GlobalNetworkPolicy", "globalnetworkpolicies", namespaced=False)
STORED_TIER = Kind(_STORED, "v1", "Tier", "tiers", namespaced=False)
STORED_HOST_ENDPOINT = Kind(_STORED, "v1", "HostEndpoint", "hostendpoints", namespaced=False)
STORED_FELIX_CONFIGURATION = Kind(_STORED, "v1", "FelixConfiguration", "felixconfigurations", namespaced=False)

CILIUM_NETWORK_POLICY = Kind(_CILIUM, "v2", "CiliumNetworkPolicy", "ciliumnetworkpolicies")
CILIUM_CLUSTERWIDE_NETWORK_POLICY = Kind(
    _CILIUM, "v2", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", namespaced=False
)

_ADMIN = "policy.networking.k8s.io"
ADMIN_NETWORK_POLICY = Kind(_ADMIN, "v1alpha1", "AdminNetworkPolicy", "adminnetworkpolicies", namespaced=False)
BASELINE_ADMIN_NETWORK_POLICY = Kind(
    _ADMIN, "v1alpha1", "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies", namespaced=False
)
CLUSTER_NETWORK_POLICY = Kind(_ADMIN, "v1alpha2", "ClusterNetworkPolicy", "clusternetworkpolicies", namespaced=False)

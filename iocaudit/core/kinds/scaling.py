"""Kinds that make pods and nodes more or fewer. Source: the CRDs of KEDA, Karpenter and the Cluster API."""

from iocaudit.core.kinds.kind import Kind

SCALED_OBJECT = Kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
NODE_POOL = Kind("karpenter.sh", "v1", "NodePool", "nodepools", namespaced=False)
MACHINE_DEPLOYMENT = Kind("cluster.x-k8s.io", "v1beta1", "MachineDeployment", "machinedeployments")
MACHINE_POOL = Kind("cluster.x-k8s.io", "v1beta1", "MachinePool", "machinepools")
OPENSHIFT_MACHINE_SET = Kind("machine.openshift.io", "v1beta1", "MachineSet", "machinesets")

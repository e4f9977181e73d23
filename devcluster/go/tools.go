//go:build tools

// Package devcluster pins, through go.mod and go.sum, the native programs of the development control plane.
// Nothing imports it: the build tag keeps it out of every build, while "go mod tidy" still sees the imports.
package devcluster

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kubectl"
)

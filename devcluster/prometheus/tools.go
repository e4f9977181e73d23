//go:build tools

// Package prometheus pins, through go.mod and go.sum, the program that tests the rules for Prometheus.
// Nothing imports it: the build tag keeps it out of every build, while "go mod tidy" still sees the import.
package prometheus

import _ "github.com/prometheus/prometheus/cmd/promtool"

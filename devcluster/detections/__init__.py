"""What developers check the shipped detections with: Falco rules, rules of Prometheus, dashboards, an audit policy."""

"""Rules in Rego, evaluated by OPA."""

# What each client may do at this OPA. Clients are known by the SHA-256 of their token (tokens.json):
# {"opa_clients": {"<SHA-256>": {"owner": "iocaudit", "loads": true}}}
package system.authz

default allow := false

allow if input.path == ["health"]

client := data.opa_clients[crypto.sha256(input.identity)]

# Evaluate: every question goes through a module of the auditor's, and names the rules that it asks.
allow if {
	client
	input.method == "POST"
	array.slice(input.path, 0, 4) == ["v1", "data", "iocaudit", "router"]
}

# Load: read which sets of rules are there,
allow if {
	client.loads
	input.method == "GET"
	input.path == ["v1", "data", "iocaudit", "sets", "loaded"]
}

# the module that questions go through,
allow if {
	client.loads
	input.method == "PUT"
	array.slice(input.path, 0, 4) == ["v1", "policies", "iocaudit", "router"]
}

# and modules below the client's own name.
allow if {
	client.loads
	input.method in {"PUT", "DELETE"}
	array.slice(input.path, 0, 4) == ["v1", "policies", "iocaudit", client.owner]
}

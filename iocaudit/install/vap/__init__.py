"""What the policies in force deny, as ValidatingAdmissionPolicies: a floor that the API server keeps by itself.

Whatever an export denies, the webhook denies too; it is less, since CEL knows no other object. `translations` maps the
id of a check to its CEL, so a check that is CEL already needs one more entry there and nothing else.
"""

"""A request judged as the webhook answers it: dispatch, owners, wording. Without HTTP and without a cluster."""

"""Unit tests of policies: requests as they would come, and what the webhook is expected to answer."""

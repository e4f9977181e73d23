"""Our own API objects, each once: what they are called, what they hold, and how long they live."""

"""CEL in the dialect of ValidatingAdmissionPolicy, evaluated by the API server's own code in ``iocaudit-cel``."""

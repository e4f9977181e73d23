"""What our own objects in a cluster are called, where several places have to agree."""

AUTHORITY_SECRET = "iocaudit-authority"
SERVING_SECRET = "iocaudit-serving"

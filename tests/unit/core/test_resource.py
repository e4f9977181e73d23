"""A resource and the pods visited in it."""

import gc
import weakref
from typing import Any

from iocaudit.core.resource import ADMISSION, Resource


class Raw(dict[str, Any]):
    """A map that can tell when it is gone."""


def test_an_object_whose_pods_are_forgotten_is_freed_without_the_garbage_collector() -> None:
    raw = Raw(apiVersion="v1", kind="Pod", metadata={"name": "web"}, spec={"containers": [{"name": "app"}]})
    gone = weakref.ref(raw)
    gc.disable()
    try:
        resource = Resource(raw, ADMISSION)
        del raw
        first = resource.pods[0].containers[0].path
        resource.forget_pods()
        assert resource.pods[0].containers[0].path == first, "they are visited anew if asked for"
        resource.forget_pods()
        del resource
        assert gone() is None
    finally:
        gc.enable()

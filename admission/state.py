"""What the webhook knows of the cluster: the world the checks look into, policies and waivers in force.

Changes come from watching threads and are applied in the event loop, so a review never sees half of one,
and wait while a large review is judged in a thread of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial

from iocaudit.cluster.watch import Sink
from iocaudit.core import own_names
from iocaudit.core.kinds import CONFIG_MAP, NAMESPACE, Kind
from iocaudit.core.kinds.ours import AUDIT_POLICY, IOC_WAIVER
from iocaudit.core.resource import Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.waivers import LONGEST
from iocaudit.live.engines import Engines
from iocaudit.live.modules import ModuleProblem
from iocaudit.live.needs import with_grant
from iocaudit.live.rulebook import RULEBOOK_KINDS, Rulebook
from iocaudit.live.waivers import Clock, WaiverStore, utc_now

_log = logging.getLogger(__name__)


class State:
    """Holds the auditor in force.

    A policy that cannot be used leaves its last good version in force; a waiver that cannot be read covers nothing.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        profile: str = "default",
        longest_waiver: timedelta = LONGEST,
        clock: Clock = utc_now,
        own_namespace: str = own_names.NAMESPACE,
        engines: Engines | None = None,
    ) -> None:
        """``engines`` evaluate the rules that policies and ConfigMaps bring along; without them such are refused."""
        self.catalogue = catalogue
        self.profile = profile
        self.world = World(own_namespace=own_namespace)
        self._held = 0
        self._held_since = 0.0
        self._waiting: list[Callable[[], None]] = []
        self._clock = clock
        self._book = Rulebook(catalogue, engines if engines is not None else Engines({}), profile, log=_log)
        self._policies = self._book.current
        self._superseded = asyncio.Event()
        self.read_aside: RulebookReader | None = None
        """Reads policies and modules elsewhere, as that may take long; without it they are read at once."""
        self.is_changing: Callable[[], bool] = lambda: False
        """Whether other policies are about to be put in force, whose rules may be loaded already."""
        self._waivers = WaiverStore(catalogue, longest_waiver, clock, log=_log)
        self._own = frozenset(self.kinds)
        self.needed: tuple[Kind, ...] = ()
        """The kinds that only rules in force look up."""
        self.require: Callable[[tuple[Kind, ...]], None] = lambda _kinds: None
        """Told whenever these change: they are to be followed, and no others beside ``kinds``."""
        self._use()

    def change(self, apply: Callable[[], None]) -> None:
        """Apply a change now, or as soon as nothing holds the state; to be called in the event loop."""
        if self._held:
            self._waiting.append(apply)
        else:
            apply()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let nothing change meanwhile: an audit in another thread reads the world without locks."""
        if not self._held:
            self._held_since = time.monotonic()
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if not self._held:
                waiting, self._waiting = self._waiting, []
                loop = asyncio.get_running_loop()
                for apply in waiting:  # each by itself, in their order, ahead of anyone who waits to hold it next
                    loop.call_soon(self.change, apply)

    def progress_at(self) -> float:
        """When changes were last let in, by ``time.monotonic``: a review that hangs would keep them out for ever."""
        return self._held_since if self._held else time.monotonic()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What has to be loaded before the webhook may answer."""
        ours = (AUDIT_POLICY, IOC_WAIVER, CONFIG_MAP, NAMESPACE)
        return tuple(dict.fromkeys((*ours, *self.catalogue.admission_world_kinds)))

    @property
    def invalid(self) -> Mapping[str, str]:
        """Unusable policies by name, with the reason."""
        return self._book.refused

    @property
    def module_problems(self) -> Sequence[ModuleProblem]:
        """What is wrong with the ConfigMaps that hold modules."""
        return self._book.problems

    @property
    def counts(self) -> dict[str, Callable[[], int]]:
        """For a metric: the policies as they stand in the cluster, by whether they could be used."""
        return {"invalid": lambda: len(self._book.refused), "valid": lambda: self._book.usable}

    @property
    def waiver_counts(self) -> dict[str, Callable[[], int]]:
        """For a metric: the waivers by whether they can be read."""
        return {"unreadable": lambda: len(self._waivers.refused), "readable": lambda: self._waivers.usable}

    def replace(self, kind: Kind, resources: list[Resource]) -> None:
        if kind in RULEBOOK_KINDS:
            raws = [resource.raw for resource in resources]
            self._read(lambda book: book.replace(kind, raws))
        elif not self.follows(kind):
            return
        elif kind is not IOC_WAIVER:
            self.world.replace(kind, resources)
        elif self._waivers.replace(resource.raw for resource in resources):
            self._use()

    def put(self, resource: Resource) -> None:
        kind, raw = resource.kind, resource.raw
        if kind in RULEBOOK_KINDS:
            self._read(lambda book: book.put(kind, raw))
        elif kind is None or not self.follows(kind):
            return
        elif kind is not IOC_WAIVER:
            self.world.put(resource)
        elif self._waivers.put(raw):
            self._use()

    def remove(self, resource: Resource) -> None:
        kind, name = resource.kind, resource.name
        if kind in RULEBOOK_KINDS:
            self._read(lambda book: book.remove(kind, name))
        elif kind is IOC_WAIVER:
            if self._waivers.remove(name):
                self._use()
        elif kind is not None:
            self.world.remove(kind, self.world.namespace_of(resource), name)

    def _read(self, change: RulebookChange) -> None:
        """Take a change of policies or modules over, at once or as soon as it was read elsewhere."""
        if self.read_aside is not None:
            self.read_aside(self._book, change)
            return
        change(self._book)
        if self._book.settle():
            self.take(self._book.current)

    def take(self, policies: PolicySet) -> None:
        """Put policies in force whose rules are loaded; in the event loop."""
        self._policies = policies
        self._need(policies.catalogue)
        self._use()

    def _need(self, catalogue: Catalogue) -> None:
        """What rules look up is unknown until it is loaded, and forgotten once none looks it up."""
        wanted = tuple(kind for kind in catalogue.admission_world_kinds if kind not in self._own)
        if wanted == self.needed:
            return
        for gone in set(self.needed) - set(wanted):
            self.world.replace(gone, [])
            self.world.mark_incomplete(gone, "no rule looks it up any more")
        for new in set(wanted) - set(self.needed):
            self.world.mark_incomplete(new, "it is not loaded yet")
        self.needed = wanted
        self.require(wanted)

    def follows(self, kind: Kind) -> bool:
        """Whether changes of a kind concern it still: those of an ended watch may be on their way."""
        return kind in self._own or kind in self.needed

    async def superseded(self, auditor: Auditor, seconds: float) -> bool:
        """Wait until an auditor is not the one in force any more, at most so long, where another is on its way; whether
        that is so.

        The rules of the next one are loaded before it is in force: in between, this one's may have no answer.
        """
        if self.auditor is auditor and seconds > 0 and self.is_changing():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._superseded.wait(), seconds)
        return self.auditor is not auditor

    def incomplete(self, kind: Kind, reason: str) -> bool:
        """Note that a kind cannot be known whole; whether the webhook may answer all the same.

        Checks that need the kind say Skipped, as ``onIncomplete`` has it. Policies, and the namespaces whose
        labels they select by, decide what is denied at all: without those the defaults would rule unnoticed.
        What was loaded of them before stays in force. Waivers only ever take denials away: without them everything
        is judged as if there were none, so the webhook may answer; which of those that were loaded still hold
        is not known, so none does.
        """
        if kind is AUDIT_POLICY:
            return False
        if kind is CONFIG_MAP:
            # What was loaded of them stays in force; where none could be, no rule of theirs denies anything.
            _log.error("ConfigMaps with rules cannot be read: %s", reason)
            return True
        if kind is IOC_WAIVER:
            _log.error("no waiver is in force: %s", reason)
            if self._waivers.replace(()):
                self._use()
            return True
        if self.follows(kind):
            self.world.mark_incomplete(kind, with_grant(kind, reason) if kind in self.needed else reason)
        return kind is not NAMESPACE

    def _use(self) -> None:
        accept = self._waivers.current.acceptor(self._clock)
        self.auditor = Auditor(self._policies.catalogue, self._policies, self.world, accept)
        self._superseded.set()
        self._superseded = asyncio.Event()


RulebookChange = Callable[[Rulebook], None]
RulebookReader = Callable[[Rulebook, RulebookChange], None]
LoadHook = Callable[[Kind, str | None], None]


def loop_sink(
    state: State, loop: asyncio.AbstractEventLoop, loaded: LoadHook, seen: Callable[[Resource], None] = lambda _: None
) -> Sink:
    """A sink that hands every change to the event loop.

    ``loaded`` is told of each kind whether the webhook may answer as to it: None, or the reason why not. ``seen`` is
    told of each object that is new or changed.
    """

    def hand_over(apply: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(state.change, apply)

    def replace(kind: Kind, resources: list[Resource]) -> None:
        def apply() -> None:
            state.replace(kind, resources)
            loaded(kind, None)

        hand_over(apply)

    def incomplete(kind: Kind, reason: str) -> None:
        def apply() -> None:
            loaded(kind, None if state.incomplete(kind, reason) else reason)

        hand_over(apply)

    def put(resource: Resource) -> None:
        def apply() -> None:
            state.put(resource)
            seen(resource)

        hand_over(apply)

    def remove(resource: Resource) -> None:
        hand_over(partial(state.remove, resource))

    def install(groups: frozenset[str]) -> None:
        hand_over(partial(state.world.install, groups))

    return Sink(replace, put, remove, incomplete, install)

"""Rules in Rego, evaluated by an OPA: those of a question in one query, and each by itself where one of them fails."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from iocaudit.core.shape import mapping
from iocaudit.engine.deadline import NO_DEADLINE, Deadline
from iocaudit.engine.languages.answer import RuleAnswer, RuleFailure
from iocaudit.engine.languages.evaluator import EngineError
from iocaudit.engine.languages.question import AskedRule, Question
from iocaudit.engine.languages.rego import router
from iocaudit.engine.languages.rego.asked_groups import AskedGroup, AskedGroups, source_of
from iocaudit.engine.languages.rego.loading import RuleSet, digest_of, put
from iocaudit.engine.languages.rego.mistakes import mistakes
from iocaudit.engine.languages.rego.preparer import PreparedRule, Preparer
from iocaudit.engine.languages.rego.replies import NOTHING_FOUND, judged_object, violations
from iocaudit.engine.languages.rego.restarts import RestartRecord
from iocaudit.engine.languages.rego.servers import OpaAccess, OpaServer
from iocaudit.engine.languages.rego.trouble import Trouble, TroubleKind
from iocaudit.engine.languages.rule import RegoSource, Rule

if TYPE_CHECKING:
    from iocaudit.engine.languages.rego.clients import OpaAsyncCalls, OpaCalls

MOST_INVENTORY: Final = 8 << 20
"""Bytes of the objects that rules look up, in one question."""
_LONGEST = 30.0
"""Seconds for a query that has no deadline."""
_LOOK = 5.0
"""Seconds in which a server that is well says what it has."""
_MARGIN, _MOST_MARGIN = 0.1, 0.1
"""The part of the time that is left for what comes after a query, and the most seconds of it."""
_PLACE = re.compile(r"iocaudit/[a-z0-9-]+/rules/(?P<root>r[0-9a-f]{40})/(?P<number>\d+):(?P<line>\d+)")
_MOVED = re.compile(r"data\.iocaudit\.rules\.r[0-9a-f]{40}\.m\.")


class _Query(NamedTuple):
    """Rules that are asked together, and what is sent."""

    group: AskedGroup
    payload: dict[str, Any]


_Reply = Mapping[str, Any] | Trouble
_Talk = Generator[list[_Query], list[_Reply], dict[str, RuleAnswer]]


class RegoEvaluator:
    """The Evaluator of rules in Rego.

    After a query of several rules got no answer, each of them is asked by itself until it answered in time: a slow rule
    costs its neighbours one answer, and one that takes OPA down a few. Where the server is another's to load, what was
    loaded is looked for only.
    """

    def __init__(self, server: OpaServer, preparer: Preparer, prove: Callable[[OpaServer], None] | None = None) -> None:
        """``prove`` raises EngineError where a server that lost its rules, so may be another, is not to have ours."""
        self._server, self.preparer, self._prove = server, preparer, prove
        self._lock = threading.Lock()
        self._loading = threading.RLock()
        self._current: RuleSet | None = None
        self._calls: dict[str, OpaCalls] = {}
        self._async_calls: OpaAsyncCalls | None = None
        self._groups: AskedGroups | None = None
        self._suspects: dict[str, int] = {}
        self._restarts = RestartRecord()
        self._readying: asyncio.Future[tuple[OpaAccess, RuleSet]] | None = None
        self._measured: tuple[object, int] = (None, 0)

    # -- rules ---------------------------------------------------------------------------------------------

    def check(self, rules: Sequence[Rule]) -> Mapping[str, str]:
        """By id, why a rule is broken. Raises EngineMissingError, EngineError."""
        prepared = self._prepared(rules)
        found = {}
        for rule in rules:
            source = source_of(rule)
            if problem := prepared[source].problem or "; ".join(map(str, mistakes(source))):
                found[rule.id] = problem
        return found

    def converted(self, rules: Sequence[Rule]) -> Mapping[str, tuple[str, ...]]:
        """By id, the texts in Rego v1 of the sources that are written in v0 (an empty text for one that is not).

        Only rules that have any. Raises EngineMissingError, EngineError.
        """
        prepared = self._prepared(rules)
        return {rule.id: texts for rule in rules if any(texts := prepared[source_of(rule)].converted)}

    def load(self, rules: Sequence[Rule]) -> None:
        """Take these as the rules in force. Raises EngineMissingError, EngineError."""
        with self._loading:
            prepared = self._prepared(rules)
            revision = self._server.revision(digest_of(prepared.values()))
            self._put(RuleSet(revision, prepared), Deadline.within(_LONGEST))

    def _prepared(self, rules: Sequence[Rule]) -> dict[RegoSource, PreparedRule]:
        sources = list(dict.fromkeys(source_of(rule) for rule in rules))
        return dict(zip(sources, self.preparer.prepare(sources, self._server.owner), strict=True))

    def _put(self, wanted: RuleSet, deadline: Deadline) -> None:
        access = self._server.access(deadline)
        name, owner = self._server.name, self._server.owner
        wanted = RuleSet(wanted.revision, wanted.rules, access.generation)
        if access.load is not None:
            if self._prove is not None and self._current is not None and self._has_lost(access, self._current):
                self._prove(self._server)
            put(self._calls_to(access, loads=True), wanted, owner, self._server.kept, name)
        elif missing := self._missing_there(access, wanted, _LONGEST):
            raise EngineError(f"{name} does not have {missing} yet: what loads it is the operator")
        roots = {one.root for one in wanted.rules.values()}
        with self._lock:
            self._current = wanted
            self._suspects = {root: count for root, count in self._suspects.items() if root in roots}
        self._restarts.keep(roots)

    def _missing_there(self, access: OpaAccess, wanted: RuleSet, seconds: float) -> str:
        """How many of the rules another has not loaded; empty where all are there."""
        roots = [one.root for one in wanted.rules.values() if one.modules]
        calls = self._calls_to(access)
        try:
            there = calls.query(router.PACKAGE, "roots", {}, seconds).get("result")
        except Trouble as error:
            raise EngineError(f"{self._server.name}: {error.reason}") from error
        missing = [root for root in roots if root not in mapping(there)]
        return f"{len(missing)} of {len(roots)} rules" if missing else ""

    # -- questions -----------------------------------------------------------------------------------------

    def ask(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        """A RuleAnswer for each rule asked for, by id; it raises nothing."""
        try:
            for last in (False, True):
                access, current = self._ready(deadline)
                calls = self._calls_to(access)
                talk = self._talk(question, current, access)
                try:
                    queries = next(talk)
                    while True:
                        replies = _one_by_one(calls, queries, deadline)
                        if not last and access.load is not None and _is_lost(replies):
                            self._forget(current)
                            break
                        queries = talk.send(replies)
                except StopIteration as end:
                    return _whole(question, end.value)
        except EngineError as error:
            return _all(question, str(error))
        except Exception as error:  # noqa: BLE001  nothing may pass: a rule without an answer is a failure
            return _all(question, f"the rule cannot be asked ({type(error).__name__}: {error})")
        return _all(question, f"{self._server.name} lost the rules again")

    async def ask_soon(self, question: Question, deadline: Deadline) -> Mapping[str, RuleAnswer]:
        """The same for an event loop; queries go out at once, unless OPA ended with one of these rules before."""
        try:
            for last in (False, True):
                access, current = await self._ready_soon(deadline)
                calls = self._async_calls_to(access)
                talk = self._talk(question, current, access)
                try:
                    queries = next(talk)
                    while True:
                        if len(queries) == 1 or self._restarts.has_ends:
                            replies = await _one_by_one_soon(calls, queries, deadline)
                        else:
                            replies = await asyncio.gather(*(_soon(calls, one, deadline) for one in queries))
                        if not last and access.load is not None and _is_lost(replies):
                            self._forget(current)
                            break
                        queries = talk.send(replies)
                except StopIteration as end:
                    return _whole(question, end.value)
        except EngineError as error:
            return _all(question, str(error))
        except Exception as error:  # noqa: BLE001  as above
            return _all(question, f"the rule cannot be asked ({type(error).__name__}: {error})")
        return _all(question, f"{self._server.name} lost the rules again")

    def _ready(self, deadline: Deadline) -> tuple[OpaAccess, RuleSet]:
        """Where to ask, with everything loaded. Raises EngineError."""
        access = self._server.access(deadline)
        current = self._current
        if current is not None and current.generation == access.generation:
            return access, current
        if not self._loading.acquire(timeout=max(_left(deadline), 0.0)):
            raise EngineError(f"{self._server.name} was not loaded in time")
        try:
            current = self._current
            if current is None:
                raise EngineError("no rules in Rego are loaded")
            if current.generation != self._server.access(deadline).generation:
                self._put(current, deadline)
                current = self._current
            return self._server.access(deadline), current or _never()
        finally:
            self._loading.release()

    async def _ready_soon(self, deadline: Deadline) -> tuple[OpaAccess, RuleSet]:
        access, current = self._server.at_once(), self._current
        if access is not None and current is not None and current.generation == access.generation:
            return access, current
        # One thread for all who wait: threads are few, and reviews that ask no rule need them too.
        while True:
            ready = self._readying
            is_own = ready is None or ready.done() or ready.get_loop() is not asyncio.get_running_loop()
            if ready is None or is_own:
                ready = self._readying = asyncio.ensure_future(asyncio.to_thread(self._ready, deadline))
                ready.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                return await asyncio.wait_for(asyncio.shield(ready), max(_left(deadline), 0.001))
            except TimeoutError as error:
                raise EngineError(f"{self._server.name} was not ready in time") from error
            except EngineError:
                if is_own:
                    raise  # another one had less time

    def reload(self) -> None:
        """Load again what is in force where the server lost it, as after its start. Raises EngineError."""
        if self._current is not None:
            self._ready(Deadline.within(_LONGEST))

    def look(self) -> str:
        """Why the rules in force cannot be asked now; empty where they can, or where there are none.

        What the server lost is loaded again where that is ours to do, whether anybody asks for it or not.
        """
        if self._current is None:
            return ""
        try:
            access, current = self._ready(Deadline.within(_LONGEST))
            if access.load is None:
                missing = self._missing_there(access, current, _LOOK)
                return f"{self._server.name} does not have {missing}: what loads it is the operator" if missing else ""
            if self._has_lost(access, current):
                self._forget(current)
                self._ready(Deadline.within(_LONGEST))
        except EngineError as error:
            return str(error)
        return ""

    def _has_lost(self, access: OpaAccess, current: RuleSet) -> bool:
        """Whether what we load does not have a set any more. Raises EngineError."""
        if current.generation != access.generation:
            return True
        query = {"revision": current.revision, "asked": [], "request": {}}
        try:
            return _is_lost([self._calls_to(access).query(router.PACKAGE, "answer", query, _LOOK)])
        except Trouble as error:
            raise EngineError(f"{self._server.name}: {error.reason}") from error

    def _forget(self, current: RuleSet) -> None:
        """The server does not have them any more, though it did not start anew."""
        with self._lock:
            if self._current is current:
                self._current = RuleSet(current.revision, current.rules, -1)

    def _talk(self, question: Question, current: RuleSet, access: OpaAccess) -> _Talk:
        """What to ask, round by round; it returns the answers. It is the same whether one waits for them or not."""
        groups = self._groups
        if groups is None or groups.rules is not current:
            groups = self._groups = AskedGroups(current)
        refused, whole = groups.settled(question.rules)
        answers: dict[str, RuleAnswer] = dict(refused)
        if too_large := self._too_large(question):
            return {**answers, **{asked.rule.id: RuleFailure(too_large) for asked in whole.rules}}
        revision = current.revision if access.load is not None else None
        waiting = self._parted(whole, groups, current.generation, answers)
        while waiting:
            queries = [_Query(group, _payload(question, group, revision)) for group in waiting]
            replies = yield queries
            again: list[AskedRule] = []
            for query, reply in zip(queries, replies, strict=True):
                again += self._take(query, reply, question, current, answers)
            waiting = [groups.group([asked]) for asked in again]
        return answers

    def _parted(
        self, whole: AskedGroup, groups: AskedGroups, generation: int, answers: dict[str, RuleAnswer]
    ) -> list[AskedGroup]:
        """The rules that are asked together, and each that got no answer by itself: the worst last."""
        suspects = self._suspects
        if not suspects and self._restarts.is_empty:
            return [whole] if whole.rules else []
        together: list[AskedRule] = []
        alone: list[tuple[int, AskedRule]] = []
        for asked, root in zip(whole.rules, whole.roots, strict=True):
            if (trouble := self._restarts.trouble(root, generation)) is not None:
                answers[asked.rule.id] = RuleFailure(trouble)
            elif times := suspects.get(root):
                alone.append((times, asked))
            else:
                together.append(asked)
        alone.sort(key=lambda one: one[0])
        return [groups.group(one) for one in (together, *([asked] for _, asked in alone)) if one]

    def _take(
        self,
        query: _Query,
        reply: _Reply,
        question: Question,
        current: RuleSet,
        answers: dict[str, RuleAnswer],
    ) -> Sequence[AskedRule]:
        """Note the answers to a query; the rules that are to be asked again, each by itself."""
        rules, roots = query.group.rules, query.group.roots
        if isinstance(reply, Trouble):
            if reply.kind is TroubleKind.LATE:
                self._server.doubt()
            if reply.kind in (TroubleKind.LATE, TroubleKind.AWAY) and reply.heard:
                for root in roots:
                    self._suspects[root] = self._suspects.get(root, 0) + 1
                    self._restarts.unanswered(root, current.generation)
            elif reply.kind in (TroubleKind.EVALUATION, TroubleKind.ANSWER):
                if len(rules) > 1:
                    return rules
                self._restarts.answered(roots[0])
            if reply.kind is TroubleKind.EVALUATION:
                reason = _explained(reply, current)
            else:
                reason = f"{self._server.name}: {reply.reason}"
            answers.update((asked.rule.id, RuleFailure(reason)) for asked in rules)
            return ()
        if self._suspects or not self._restarts.is_empty:
            for root in roots:
                self._suspects.pop(root, None)
                self._restarts.answered(root)
        said = mapping(reply.get("result"))
        if said.get("loaded") is not True or said.get("revision") != query.payload["revision"]:
            missing = RuleFailure(f"{self._server.name} does not have the rules that are in force")
            answers.update((asked.rule.id, missing) for asked in rules)
            return ()
        judged = judged_object(question.request)
        found = mapping(said.get("answers"))
        for index, asked in enumerate(rules):
            sets = found.get(str(index))
            if sets in NOTHING_FOUND:
                answers[asked.rule.id] = ()
            elif str(index) not in found:
                answers[asked.rule.id] = RuleFailure(f"{self._server.name} does not have this rule, or has another")
            else:
                answers[asked.rule.id] = violations(sets, judged)
        return ()

    def _too_large(self, question: Question) -> str:
        """Why the inventory of a question cannot be sent; empty where it can."""
        inventory = question.inventory
        if inventory is None:
            return ""
        known, size = self._measured
        if known is not inventory:
            size = len(orjson.dumps(inventory, option=orjson.OPT_NON_STR_KEYS))
            self._measured = (inventory, size)
        if size <= MOST_INVENTORY:
            return ""
        return f"the objects that the rules look up have {size} bytes, and may have {MOST_INVENTORY}"

    # -- connections ---------------------------------------------------------------------------------------

    def _calls_to(self, access: OpaAccess, *, loads: bool = False) -> OpaCalls:
        from iocaudit.engine.languages.rego.clients import OpaCalls  # late: it takes 0.2 s to import

        endpoint = access.load if loads and access.load is not None else access.ask
        which = "load" if loads else "ask"
        with self._lock:
            calls = self._calls.get(which)
            if calls is None or calls.endpoint != endpoint:
                if calls is not None:
                    calls.close()
                calls = self._calls[which] = OpaCalls(endpoint)
            return calls

    def _async_calls_to(self, access: OpaAccess) -> OpaAsyncCalls:
        from iocaudit.engine.languages.rego.clients import OpaAsyncCalls  # late: likewise

        with self._lock:
            calls = self._async_calls
            if calls is None or calls.endpoint != access.ask or calls.loop is not asyncio.get_running_loop():
                if calls is not None:
                    calls.close()
                calls = self._async_calls = OpaAsyncCalls(access.ask)
            return calls

    def close(self) -> None:
        """Close the connections, and end the server where it was started by us."""
        with self._lock:
            for calls in self._calls.values():
                calls.close()
            self._calls = {}
            if self._async_calls is not None:
                self._async_calls.close()
                self._async_calls = None
        self._server.close()


def _payload(question: Question, group: AskedGroup, revision: str | None) -> dict[str, Any]:
    payload: dict[str, Any] = {"revision": revision, "asked": group.asked, "request": question.request}
    if question.namespace is not None:
        payload["namespace"] = question.namespace
    if group.uses_inventory:
        payload["inventory"] = question.inventory or {}
    return payload


def _left(deadline: Deadline) -> float:
    """Seconds until then; of an audit without a deadline, those of the longest query."""
    if deadline.clock is NO_DEADLINE.clock:
        return _LONGEST
    return min(deadline.at - deadline.clock(), _LONGEST)


def _query_seconds(deadline: Deadline) -> float:
    left = _left(deadline)
    return left - min(left * _MARGIN, _MOST_MARGIN)


def _one_by_one(calls: OpaCalls, queries: Sequence[_Query], deadline: Deadline) -> list[_Reply]:
    """The replies in this order. What comes after one that it ended with is not sent: it would be blamed as well."""
    replies: list[_Reply] = []
    for query in queries:
        replies.append(_not_sent_after(replies) or _sync(calls, query, deadline))
    return replies


async def _one_by_one_soon(calls: OpaAsyncCalls, queries: Sequence[_Query], deadline: Deadline) -> list[_Reply]:
    """The same for an event loop."""
    replies: list[_Reply] = []
    for query in queries:
        replies.append(_not_sent_after(replies) or await _soon(calls, query, deadline))
    return replies


def _not_sent_after(replies: Sequence[_Reply]) -> Trouble | None:
    """The reply to a query after these; None where it is to be sent."""
    last = replies[-1] if replies else None
    if isinstance(last, Trouble) and last.kind is TroubleKind.AWAY:
        return replace(last, heard=False)
    return None


def _sync(calls: OpaCalls, query: _Query, deadline: Deadline) -> _Reply:
    seconds = _query_seconds(deadline)
    if seconds <= 0:
        return Trouble(TroubleKind.LATE, "there was no time left to ask", heard=False)
    try:
        return calls.query(router.PACKAGE, "answer", query.payload, seconds)
    except Trouble as error:
        return error


async def _soon(calls: OpaAsyncCalls, query: _Query, deadline: Deadline) -> _Reply:
    seconds = _query_seconds(deadline)
    if seconds <= 0:
        return Trouble(TroubleKind.LATE, "there was no time left to ask", heard=False)
    try:
        return await calls.query(router.PACKAGE, "answer", query.payload, seconds)
    except Trouble as error:
        return error


def _is_lost(replies: Sequence[_Reply]) -> bool:
    """Whether the server says that it does not have the rules."""
    return any(not isinstance(one, Trouble) and mapping(one.get("result")).get("loaded") is not True for one in replies)


def _explained(trouble: Trouble, current: RuleSet) -> str:
    """Why an evaluation failed, in the names and the lines of the author's text where these are known."""
    by_root = {rule.root: rule for rule in current.rules.values()}

    def author_s(found: re.Match[str]) -> str:
        rule = by_root.get(found["root"])
        number, line = int(found["number"]), int(found["line"])
        if rule is None or number >= len(rule.modules):
            return found[0]
        module = rule.modules[number]
        before = [theirs for ours, theirs in module.lines if ours <= line]
        library = f"library {module.source}, " if module.source else ""
        return f"{library}the rule at line {before[-1]}" if before else f"{library}line {line}"

    reason = _MOVED.sub("data.", _PLACE.sub(author_s, trouble.reason))
    place = _PLACE.sub(author_s, f"{trouble.policy}:{trouble.line}")
    where = f"in {place}" if _PLACE.search(f"{trouble.policy}:{trouble.line}") else "its evaluation failed"
    return f"{where}: {' '.join(reason.split())}"


def _all(question: Question, reason: str) -> dict[str, RuleAnswer]:
    return {asked.rule.id: RuleFailure(reason) for asked in question.rules}


def _whole(question: Question, answers: Mapping[str, RuleAnswer]) -> dict[str, RuleAnswer]:
    missing = RuleFailure("it was not answered")
    return {asked.rule.id: answers.get(asked.rule.id, missing) for asked in question.rules}


def _never() -> RuleSet:
    raise EngineError("no rules in Rego are loaded")

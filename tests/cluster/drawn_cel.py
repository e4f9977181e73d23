"""CEL expressions of every sort, the same for the same seed, for the objects of ``drawn_pods``."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from iocaudit.core.shape import Json
from iocaudit.engine.languages.rule import CelCondition, CelValidation

STRINGS = ["", "a", "nginx", "nginx:1.25", "app", "x1-y2", "ü", "10.0.0.7", "a.b/c", "64Mi", "-1", "A B", "é'\"\\"]
VARIABLES = {
    "names": ("list", "object.spec.containers.map(c, c.name)"),
    "images": ("list", "object.spec.containers.map(c, c.image)"),
    "labels": ("map", "object.metadata.?labels.orValue({})"),
    "count": ("int", "size(object.spec.containers)"),
    "hostNetwork": ("bool", "has(object.spec.hostNetwork) && object.spec.hostNetwork"),
    "broken": ("string", "string(object.spec.nowhere)"),
    "first": ("string", "variables.images[0]"),
}
"""By name, the type and the expression."""


class CelDrawer:
    """Draws expressions of a wanted type. ``scope`` are the names that hold values there, by type."""

    def __init__(self, random: Random, *, composed: bool) -> None:
        self.random = random
        self.scope: dict[str, list[str]] = {"int": [], "string": [], "container": [], "list": [], "bool": []}
        self._composed = composed
        self._names = 0
        self._bound: list[tuple[str, str]] = []

    def validation(self) -> CelValidation:
        """An expression, with a message, an expression for one, both or neither."""
        expression = self.boolean(self.random.randint(1, 4))
        message = self.random.choice(["", "", " it is bad ", "ü"])
        said = self.text(2) if self.random.random() < 0.5 else ""
        return CelValidation(expression, message, said)

    def condition(self, name: str) -> CelCondition:
        """One that is true of most."""
        return CelCondition(name, f"{self.boolean(1)} || request.operation in ['CREATE', 'UPDATE']")

    def boolean(self, depth: int) -> str:
        if depth <= 0:
            return self._one(
                lambda: self.random.choice(["true", "false"]),
                lambda: self._named("bool") or "object.kind == 'Pod'",
                lambda: f"has(object.spec.{self.random.choice(['hostNetwork', 'nodeName', 'nowhere', 'volumes'])})",
                lambda: f"'{self._key()}' in object.metadata.?labels.orValue({{}})",
                lambda: "request.dryRun",
                lambda: "object.spec.?hostNetwork.orValue(false)",
            )
        less = depth - 1
        return self._one(
            lambda: f"({self.boolean(less)} {self.random.choice(['&&', '||', '==', '!='])} {self.boolean(less)})",
            lambda: f"!({self.boolean(less)})",
            lambda: f"({self.boolean(less)} ? {self.boolean(less)} : {self.boolean(less)})",
            lambda: f"{self.integer(less)} {self._order()} {self.integer(less)}",
            lambda: f"{self.number(less)} {self._order()} {self.number(less)}",
            lambda: f"{self.text(less)} {self._order()} {self.text(less)}",
            lambda: f"{self.text(less)}.{self._test()}({self.text(less)})",
            lambda: f"{self.text(less)}.matches({self._regex()})",
            lambda: f"{self.text(less)} in {self.texts(less)}",
            lambda: self._over_containers(less),
            lambda: self._over_containers(less),
            lambda: self._over_list(less),
            lambda: self._two_variables(less),
            lambda: (
                f"sets.{self._one_of('contains', 'equivalent', 'intersects')}({self.texts(less)}, {self.texts(less)})"
            ),
            lambda: f"{self.texts(less)}.isSorted()",
            lambda: self._quantity(less),
            lambda: self._semver(less),
            lambda: self._ip(less),
            lambda: self._cidr(less),
            lambda: self._url(less),
            lambda: self._format(less),
            lambda: f"oldObject == null ? {self.boolean(less)} : oldObject.metadata.name == object.metadata.name",
            lambda: f"(oldObject != null && oldObject.spec != object.spec) || {self.boolean(less)}",
            lambda: f"namespaceObject.metadata.labels[{self._quoted(self.random.choice(['team', 'nowhere']))}] == 'x'",
            lambda: f"timestamp('2025-01-0{self.random.randint(1, 9)}T00:00:00Z') < timestamp({self._time()})",
            lambda: (
                f"duration('{self.random.randint(1, 9)}m') > duration({self._quoted(self._one_of('5m', '1h', 'x'))})"
            ),
            lambda: f"type({self._one_of('object.spec', self.text(0))}) == {self._one_of('map', 'string', 'int')}",
            lambda: f"object.metadata.name == {self.text(less)}",
        )

    def integer(self, depth: int) -> str:
        if depth <= 0:
            return self._one(
                lambda: str(self.random.choice([0, 1, 2, 3, 7, 100, -1, 9223372036854775807])),
                lambda: self._named("int") or "size(object.spec.containers)",
                lambda: "size(object.spec.?volumes.orValue([]))",
                lambda: "object.spec.?priority.orValue(0)",
            )
        less = depth - 1
        return self._one(
            lambda: f"({self.integer(less)} {self.random.choice('+-*/%')} {self.integer(less)})",
            lambda: f"size({self.texts(less)})",
            lambda: f"size({self.text(less)})",
            lambda: f"int({self.text(less)})",
            lambda: f"{self.text(less)}.indexOf({self.text(less)})",
            lambda: f"{self.texts(less)}.lastIndexOf({self.text(less)})",
            lambda: f"[{self.integer(less)}, {self.integer(less)}].{self._one_of('sum', 'min', 'max')}()",
            lambda: f"object.spec.containers.filter({self._bind('container')}, {self._inside(less)}).size()",
            lambda: f"int(params.data.{self._one_of('most', 'word', 'nowhere')})",
        )

    def number(self, depth: int) -> str:
        return self._one(
            lambda: str(self.random.choice([0.0, 1.5, -2.25, 1e300])),
            lambda: f"double({self.integer(depth - 1)})",
            lambda: f"({self.number(0)} / {self.number(0)})" if depth > 0 else "0.5",
        )

    def text(self, depth: int) -> str:
        if depth <= 0:
            return self._one(
                lambda: self._quoted(self.random.choice(STRINGS)),
                lambda: self._named("string") or "object.metadata.name",
                lambda: f"string(object.spec.containers[{self.random.choice([0, 0, 1, 5])}].image)",
                lambda: f"object.metadata.?labels[?{self._quoted(self._key())}].orValue('none')",
                lambda: f"string(params.data.{self._one_of('word', 'most', 'nowhere')})",
                lambda: self._one_of(
                    "request.operation", "request.name", "request.namespace", "request.resource.resource"
                ),
                lambda: "string(namespaceObject.metadata.name)",
            )
        less = depth - 1
        return self._one(
            lambda: f"({self.text(less)} + {self.text(less)})",
            lambda: f"{self.text(less)}.{self._one_of('lowerAscii', 'upperAscii', 'trim')}()",
            lambda: f"{self.text(less)}.replace({self.text(0)}, {self.text(0)})",
            lambda: f"{self.text(less)}.substring({self.random.randint(0, 4)})",
            lambda: f"{self.text(less)}.charAt({self.random.randint(0, 3)})",
            lambda: f"{self.texts(less)}.join({self._quoted(self._one_of(',', '', '; '))})",
            lambda: f"{self.texts(less)}[{self.random.choice([0, 0, 1, 4])}]",
            lambda: f"string({self.integer(less)})",
            lambda: f"string({self.number(less)})",
            lambda: f"{self.text(less)}.find({self._regex()})",
            lambda: f"'%s is %d of %.2f'.format([{self.text(less)}, {self.integer(less)}, {self.number(less)}])",
            lambda: f"({self.boolean(less)} ? {self.text(less)} : {self.text(less)})",
            lambda: f"optional.of({self.text(less)}).or(optional.none()).value()",
            lambda: f"{self.texts(less)}.first().orValue({self.text(0)})",
        )

    def texts(self, depth: int) -> str:
        """A list of strings."""
        if depth <= 0:
            return self._one(
                lambda: self._named("list") or "['a', 'b']",
                lambda: f"[{', '.join(self._quoted(one) for one in self.random.sample(STRINGS, 3))}]",
                lambda: "object.spec.containers.map(c, string(c.image))",
                lambda: "object.metadata.?labels.orValue({}).map(k, k).sort()",
                lambda: "request.userInfo.groups",
            )
        less = depth - 1
        return self._one(
            lambda: f"({self.texts(less)} + {self.texts(less)})",
            lambda: f"{self.text(less)}.split({self._quoted(self._one_of(',', '/', ':', ''))})",
            lambda: f"{self.text(less)}.findAll({self._regex()})",
            lambda: f"{self.texts(less)}.{self._one_of('sort', 'reverse', 'distinct')}()",
            lambda: f"{self.texts(less)}.slice(0, {self.random.randint(0, 3)})",
            lambda: f"object.spec.containers.map({self._bind('container')}, {self._inside_string(less)})",
            lambda: f"{self.texts(less)}.filter({self._bind('string')}, {self._inside(less)})",
        )

    def _over_containers(self, depth: int) -> str:
        macro = self._one_of("all", "exists", "exists_one")
        return f"object.spec.containers.{macro}({self._bind('container')}, {self._inside(depth)})"

    def _over_list(self, depth: int) -> str:
        over = self.texts(depth)
        return f"{over}.{self._one_of('all', 'exists', 'exists_one')}({self._bind('string')}, {self._inside(depth)})"

    def _two_variables(self, depth: int) -> str:
        if self.random.random() < 0.5:
            over, first = self.texts(depth), "int"
        else:
            over, first = "object.metadata.?labels.orValue({}).transformMap(k, v, string(v) + k)", "string"
        names = f"{self._bind(first)}, {self._bind('string')}"
        inside = self._inside(depth, 2)
        return f"{over}.{self._one_of('all', 'exists', 'existsOne')}({names}, {inside})"

    def _bind(self, type_: str) -> str:
        """A new name, in scope until ``_inside`` is drawn."""
        self._names += 1
        name = f"v{self._names}"
        self.scope[type_].append(name)
        self._bound.append((type_, name))
        return name

    def _inside(self, depth: int, names: int = 1) -> str:
        bound = self._bound[-names:]
        if bound[-1][0] == "container":
            drawn = self._container_bool(bound[-1][1], depth)
        else:
            drawn = self.boolean(min(depth, 1))
        self._unbind(names)
        return drawn

    def _inside_string(self, depth: int) -> str:
        name = self._bound[-1][1]
        drawn = self._one_of(f"string({name}.name)", f"string({name}.image) + {self.text(min(depth, 1))}")
        self._unbind(1)
        return drawn

    def _unbind(self, names: int) -> None:
        for _ in range(names):
            type_, name = self._bound.pop()
            self.scope[type_].remove(name)

    def _container_bool(self, name: str, depth: int) -> str:
        return self._one(
            lambda: f"{name}.image.{self._test()}({self.text(0)})",
            lambda: f"{name}.?securityContext.?privileged.orValue(false)",
            lambda: f"has({name}.securityContext) && {name}.securityContext.privileged == true",
            lambda: f"{name}.name != {self.text(min(depth, 1))}",
            lambda: f"{name}.?env.orValue([]).exists(e, e.name == {self.text(0)} || e.value == {self.text(0)})",
            lambda: f"{name}.?resources.?limits.?memory.hasValue()",
            lambda: (
                f"quantity({name}.resources.limits.memory).isLessThan(quantity('{self._one_of('1Gi', '63Mi', '1')}'))"
            ),
            lambda: f"{name}.ports.all(p, p.containerPort > {self.random.choice([0, 79, 1024])})",
            lambda: f"({name}.image == {self.text(0)} || {self.boolean(min(depth, 1))})",
        )

    def _quantity(self, depth: int) -> str:
        one = f"quantity({self._quoted(self._one_of('1Gi', '500m', '1', '-3k', 'x', '1.5'))})"
        return self._one(
            lambda: f"{one}.isGreaterThan(quantity('1M'))",
            lambda: f"isQuantity({self.text(depth)})",
            lambda: f"{one}.add(1).compareTo(quantity('2')) == {self.integer(0)}",
            lambda: f"{one}.isInteger() && {one}.asInteger() > {self.integer(0)}",
            lambda: f"{one}.sub({one}).sign() == 0",
        )

    def _semver(self, depth: int) -> str:
        text = self._quoted(self._one_of("1.2.3", "1.2", "v1.0.0", "1.0.0-rc.1"))
        one = f"semver({text}{self._one_of('', ', true', ', false')})"
        return self._one(
            lambda: f"{one}.isGreaterThan(semver('1.1.0'))",
            lambda: f"isSemver({self.text(depth)})",
            lambda: f"{one}.minor() == {self.integer(0)}",
        )

    def _ip(self, depth: int) -> str:
        one = f"ip({self._quoted(self._one_of('10.0.0.7', '::1', '1.2.3', '127.0.0.1'))})"
        return self._one(
            lambda: f"{one}.family() == {self.random.choice([4, 6])}",
            lambda: f"{one}.isLoopback()",
            lambda: f"isIP({self.text(depth)})",
            lambda: f"string({one}) == {self.text(0)}",
        )

    def _cidr(self, depth: int) -> str:
        one = f"cidr({self._quoted(self._one_of('10.0.0.0/8', '::/0', '10.0.0.0/33', '10.0.0.1/24'))})"
        return self._one(
            lambda: f"{one}.containsIP({self._quoted(self._one_of('10.0.0.7', '::1', 'x'))})",
            lambda: f"{one}.prefixLength() > {self.integer(0)}",
            lambda: f"{one}.containsCIDR(cidr('10.1.0.0/16'))",
            lambda: f"isCIDR({self.text(depth)})",
        )

    def _url(self, depth: int) -> str:
        one = f"url({self._quoted(self._one_of('https://a.b:80/c?d=e', 'a', '/x', 'https://u@h/'))})"
        return self._one(
            lambda: f"{one}.getHost() == {self.text(0)}",
            lambda: f"isURL({self.text(depth)})",
            lambda: f"{one}.getQuery().exists(k, k == 'd')",
            lambda: f"{one}.getPort() in {self.texts(0)}",
        )

    def _format(self, depth: int) -> str:
        named = self._one_of(
            "dns1123Label", "dns1123Subdomain", "qualifiedName", "labelValue", "uuid", "byte", "date", "datetime"
        )
        return self._one(
            lambda: f"!format.{named}().validate({self.text(depth)}).hasValue()",
            lambda: f"format.named({self._quoted(self._one_of(named, 'nothing'))}).hasValue()",
            lambda: f"format.{named}().validate({self.text(depth)}).orValue([]).size() > 0",
        )

    def _test(self) -> str:
        return self._one_of("startsWith", "endsWith", "contains")

    def _order(self) -> str:
        return self.random.choice(["==", "!=", "<", "<=", ">", ">="])

    def _regex(self) -> str:
        return self._quoted(self._one_of("^[a-z]+$", "nginx(:.*)?", "[0-9]+", ".", "", "(a|b)*c", "\\\\d"))

    def _time(self) -> str:
        return self._quoted(self._one_of("2025-01-05T00:00:00Z", "yesterday", "2025-01-05T00:00:00+02:00"))

    def _key(self) -> str:
        return self._one_of("app", "tier", "nowhere", "iocaudit-pack")

    def _named(self, type_: str) -> str:
        names = list(self.scope[type_])
        if self._composed:
            names += [f"variables.{name}" for name, (of, _) in VARIABLES.items() if of == type_ and name != "broken"]
            if type_ == "string" and self.random.random() < 0.1:
                names.append("variables.broken")
        # What a list of dynamic values holds is dynamic, and a string is wanted.
        return self.random.choice(names) if names else ""

    def _one_of(self, *texts: str) -> str:
        return self.random.choice(texts)

    def _one(self, *draws: Callable[[], str]) -> str:
        return self.random.choice(draws)()

    @staticmethod
    def _quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def misspelt(random: Random, expression: str) -> str:
    """The expression with one thing wrong, mostly."""
    at = random.randrange(len(expression))
    return random.choice(
        [
            expression[:at] + expression[at + 1 :],
            expression[:at] + random.choice("()[]{}.,?:+'\"= &|1x\\") + expression[at:],
            expression.replace("object", random.choice(["objekt", "params", "variables"]), 1),
            expression.replace("(", "(1, ", 1),
            expression.replace("string", "int", 1),
            expression.replace("size", "length", 1),
            f"string({expression})",
        ]
    )


def drawn_pods(random: Random, count: int) -> list[Json]:
    """Pods that an API server takes."""
    return [_pod(random, f"pod-{number}") for number in range(count)]


def _pod(random: Random, name: str) -> Json:
    labels = {key: random.choice(["web", "x", "1"]) for key in ("app", "tier") if random.random() < 0.6}
    spec: Json = {"containers": [_container(random, number) for number in range(random.randint(1, 4))]}
    if random.random() < 0.3:
        spec["hostNetwork"] = True
    if random.random() < 0.4:
        spec["volumes"] = [{"name": "v", "emptyDir": {}}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


def _container(random: Random, number: int) -> Json:
    container: Json = {"name": f"c{number}", "image": random.choice(["nginx", "nginx:1.25", "hooli.com/app:1", "a"])}
    if random.random() < 0.5:
        container["securityContext"] = {"privileged": random.random() < 0.5}
    if random.random() < 0.5:
        container["resources"] = {"limits": {"memory": random.choice(["64Mi", "2Gi", "1"])}}
    if random.random() < 0.5:
        container["env"] = [{"name": "A", "value": random.choice(["", "a", "ü"])}]
    if random.random() < 0.5:
        container["ports"] = [{"containerPort": 8000 + number}]
    return container

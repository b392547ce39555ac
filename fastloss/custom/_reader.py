"""Read Python functions as graphs: calls are inlined, branches become choices."""

from __future__ import annotations

import ast
import builtins
import numbers
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType
from typing import Any, NoReturn

from fastloss.custom._derivatives import power
from fastloss.custom._functions import apply, compare, is_known, number_of, truth_of
from fastloss.custom._graph import Graph, Node, both, negation, select
from fastloss.custom._source import Function, Source, argument_names, refusal, source_of

OPERATORS: dict[type[ast.operator], Callable[[Node, Node], Node]] = {
    ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b, ast.Pow: power,
}
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq", ast.NotEq: "ne",
}
NAMES: dict[type[ast.AST], str] = {
    ast.For: "a loop", ast.While: "a loop", ast.ListComp: "a list", ast.List: "a list",
    ast.GeneratorExp: "a loop", ast.Subscript: "an index", ast.Raise: "raise", ast.Try: "try",
    ast.With: "with", ast.Assert: "assert", ast.Global: "global", ast.Nonlocal: "nonlocal",
    ast.Import: "an import", ast.ImportFrom: "an import", ast.Match: "match", ast.Dict: "a dict",
    ast.FloorDiv: "//", ast.Mod: "%", ast.MatMult: "@", ast.In: "in", ast.NotIn: "not in",
    ast.Is: "is", ast.IsNot: "is not", ast.JoinedStr: "a string", ast.NamedExpr: ":=",
    ast.BitAnd: "& (use and)", ast.BitOr: "| (use or)", ast.Invert: "~ (use not)",
}
DEPTH = 50

# What a name can stand for: a node, several of them, a function, a module, or what comes
# from outside and is not looked at before it is used.
Value = Any
Names = dict[str, Value]


@dataclass(frozen=True)
class Closure:
    """A function defined in the formula."""

    source: Source
    names: Names
    reader: Reader


@dataclass(frozen=True)
class Unset:
    """A name that has a value in one branch only."""


@dataclass(frozen=True)
class Returned:
    """What statements return, when they do, and the statement that decides it."""

    when: Node
    value: Value
    branch: ast.stmt

    @property
    def always(self) -> bool:
        """Whether they always return."""
        return self.when.op == "truth" and bool(self.when.args[0])


class Reader:
    """Reads one function; those that it calls have readers of their own.

    Parameters
    ----------
    graph : Graph
        Where operations are added.
    source : Source
    outside : callable
        Returns what a name that is not local stands for; raises KeyError.
    depth : int
        Number of calls it is inside of.
    """

    def __init__(
        self, graph: Graph, source: Source, outside: Callable[[str], Value], depth: int = 0
    ) -> None:
        self.graph, self.source, self.outside, self.depth = graph, source, outside, depth

    @classmethod
    def of(cls, graph: Graph, function: FunctionType, depth: int = 0) -> Reader:
        """Return the reader of a Python function."""
        code, cells = function.__code__, function.__closure__ or ()

        def outside(name: str) -> Value:
            if name in code.co_freevars:
                try:
                    return cells[code.co_freevars.index(name)].cell_contents
                except ValueError:  # an empty cell
                    raise KeyError(name) from None
            if name in function.__globals__:
                return function.__globals__[name]
            return vars(builtins)[name]

        return cls(graph, source_of(function), outside, depth)

    def refuse(self, what: str, node: ast.AST | None = None) -> NoReturn:
        """Raise the error for something at a node."""
        raise refusal(what, self.source.place(node))

    def read(self, names: Names) -> Value:
        """Return what the function returns, given its arguments."""
        body = self.source.node.body
        if isinstance(body, ast.expr):
            return self.value(body, names)
        result = self.run(body, names)
        if result is None or not result.always:
            self.refuse("it may end without a return", result.branch if result else None)
        return result.value

    # ---- statements

    def run(self, statements: Sequence[ast.stmt], names: Names) -> Returned | None:
        """Return what is returned and when, None if nothing ever is; names are changed.

        Each statement is read once: after a branch that may have returned, names have the values
        for when it has not.
        """
        found: Returned | None = None
        for statement in statements:
            self.graph.place = self.source.place(statement)
            match statement:
                case ast.Return(value=None):
                    self.refuse("it returns nothing", statement)
                case ast.Return(value=ast.expr() as value):
                    last = Returned(self.graph.node_of(True), self.value(value, names), statement)
                    return self._then(found, last)
                case ast.If():
                    condition = self.truth(statement.test, names)
                    if condition.op == "truth":
                        taken = statement.body if condition.args[0] else statement.orelse
                        now = self.run(taken, names)
                    else:
                        now = self._branches(condition, statement, names)
                    found = self._then(found, now) if now else found
                    if now and now.always:
                        return found
                case ast.Assign():
                    value = self.value(statement.value, names)
                    for target in statement.targets:
                        self._assign(target, value, names)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, self.value(value, names), names)
                case ast.AugAssign():
                    if not isinstance(statement.target, ast.Name):
                        self.refuse("it assigns to something that is not a name", statement)
                    load = ast.copy_location(
                        ast.Name(statement.target.id, ast.Load()), statement.target)
                    operation = ast.BinOp(load, statement.op, statement.value)
                    value = self.value(ast.copy_location(operation, statement), names)
                    self._assign(statement.target, value, names)
                case ast.FunctionDef():
                    names[statement.name] = self._closure(statement, names)
                case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.AnnAssign():
                    pass
                case _:
                    self.refuse(f"it has {_name(statement)}, which is not supported", statement)
        return found

    def _then(self, first: Returned | None, second: Returned) -> Returned:
        """Return what is returned by statements after others."""
        if first is None:
            return second
        value = self._choice(first.when, first.value, second.value, first.branch)
        return Returned(both("or", first.when, second.when), value, second.branch)

    def _branches(self, condition: Node, branch: ast.If, names: Names) -> Returned | None:
        """Return what branches return; names get a choice of their values after either."""
        after = [dict(names), dict(names)]
        a, b = (self.run(body, inside) for body, inside in zip(
            (branch.body, branch.orelse), after, strict=True))
        if a and a.always:
            names.update(after[1])
        elif b and b.always:
            names.update(after[0])
        else:
            self._merge(condition, after, branch, names)
        if a is None or b is None:
            one = a or b
            where = condition if a else negation(condition)
            return one and Returned(both("and", where, one.when), one.value, branch)
        when = a.when if a.always and b.always else both(
            "or", both("and", condition, a.when), both("and", negation(condition), b.when))
        return Returned(when, self._choice(condition, a.value, b.value, branch), branch)

    def _merge(
        self, condition: Node, after: list[Names], branch: ast.If, names: Names
    ) -> None:
        for name in {**after[0], **after[1]}:
            a, b = (inside.get(name, Unset()) for inside in after)
            unset = isinstance(a, Unset) or isinstance(b, Unset)
            names[name] = Unset() if unset else self._choice(condition, a, b, branch)

    def _choice(self, condition: Node, a: Value, b: Value, node: ast.AST) -> Value:
        if a is b:
            return a
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
            return tuple(self._choice(condition, x, y, node)
                         for x, y in zip(a, b, strict=True))
        a, b = self.node(a, node), self.node(b, node)
        if a.is_truth and b.is_truth:
            return both("or", both("and", condition, a), both("and", negation(condition), b))
        return select(condition, number_of(a), number_of(b))

    def _assign(self, target: ast.expr, value: Value, names: Names) -> None:
        if isinstance(target, ast.Name):
            names[target.id] = value
        elif isinstance(target, ast.Tuple) and isinstance(value, tuple):
            if len(target.elts) != len(value):
                self.refuse(f"{len(value)} values for {len(target.elts)} names", target)
            for each, part in zip(target.elts, value, strict=True):
                self._assign(each, part, names)
        else:
            self.refuse("it assigns to something that is not a name", target)

    # ---- expressions

    def value(self, node: ast.expr, names: Names) -> Value:
        """Return what an expression stands for."""
        self.graph.place = self.source.place(node)
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return self.node(value, node)
            case ast.Name(id=name):
                return self._name(name, node, names)
            case ast.Attribute(value=inner, attr=attribute):
                owner = self.value(inner, names)
                if not isinstance(owner, ModuleType):
                    self.refuse(f"{ast.unparse(inner)} is not a module: its attributes are not "
                                "supported", node)
                if not hasattr(owner, attribute):
                    self.refuse(f"{owner.__name__} has no {attribute!r}", node)
                return getattr(owner, attribute)
            case ast.BinOp(left=left, op=op, right=right):
                if type(op) not in OPERATORS:
                    self.refuse(f"the operator {_name(op)} is not supported", node)
                a, b = self.number(left, names), self.number(right, names)
                return OPERATORS[type(op)](a, b)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self.number(operand, names)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.number(operand, names)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return negation(self.truth(operand, names))
            case ast.BoolOp(op=op, values=values):
                return _joined(op, [self.node(self.value(each, names), each) for each in values])
            case ast.Compare():
                return self._comparison(node, names)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                condition = self.truth(test, names)
                if condition.op == "truth":
                    return self.value(body if condition.args[0] else orelse, names)
                return self._choice(condition, self.value(body, names),
                                    self.value(orelse, names), node)
            case ast.Call():
                return self._call(node, names)
            case ast.Tuple(elts=elements):
                return tuple(self.value(each, names) for each in elements)
            case ast.Lambda():
                return self._closure(node, names)
        self.refuse(f"it has {_name(node)}, which is not supported", node)

    def number(self, node: ast.expr, names: Names) -> Node:
        """Return an expression as a number."""
        return number_of(self.node(self.value(node, names), node))

    def truth(self, node: ast.expr, names: Names) -> Node:
        """Return an expression as a condition."""
        if isinstance(node, ast.BoolOp):  # of which no number is needed
            return _joined(node.op, [self.truth(each, names) for each in node.values])
        return truth_of(self.node(self.value(node, names), node))

    def node(self, value: Value, node: ast.AST) -> Node:
        """Return a value as a node: numbers from outside are constants."""
        if isinstance(value, Node):
            return value
        if isinstance(value, (bool, numbers.Real)) or type(value).__name__ == "bool":
            try:
                return self.graph.node_of(value if isinstance(value, bool) else float(value))
            except OverflowError:
                self.refuse("it has a number that is too large for float64", node)
        what = ast.unparse(node) if isinstance(node, ast.expr) else "what it returns"
        kind = "function" if isinstance(value, Closure) else type(value).__name__
        self.refuse(f"{what} is of type {kind}, not a number", node)

    def _name(self, name: str, node: ast.AST, names: Names) -> Value:
        if name in names:
            value = names[name]
            if isinstance(value, Unset):
                self.refuse(f"{name!r} has a value in one branch only", node)
            return value
        try:
            return self.outside(name)
        except KeyError:
            self.refuse(f"the name {name!r} is not defined", node)

    def _comparison(self, node: ast.Compare, names: Names) -> Node:
        result = self.graph.node_of(True)
        values = [self.number(each, names) for each in (node.left, *node.comparators)]
        for op, a, b in zip(node.ops, values, values[1:], strict=False):
            if type(op) not in COMPARISONS:
                self.refuse(f"the comparison {_name(op)} is not supported", node)
            result = both("and", result, compare(COMPARISONS[type(op)], a, b))
        return result

    # ---- calls

    def _closure(self, node: Function, names: Names) -> Closure:
        """Return a function defined here; what it reads from here must have one value for good."""
        set_here = Counter((*argument_names(self.source.node), *_names_set(self.source.node)))
        own = {*argument_names(node), *_names_set(node)}
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and each.id in set_here and each.id not in own and (
                    set_here[each.id] > 1 or each.id not in names):
                self.refuse(f"a function reads {each.id!r} from around it, which may change", each)
        name = node.name if isinstance(node, ast.FunctionDef) else "<lambda>"
        return Closure(replace(self.source, node=node, name=name), dict(names), self)

    def _call(self, node: ast.Call, names: Names) -> Value:
        function = self.value(node.func, names)
        function = getattr(function, "py_func", function)  # of one that Numba compiled
        called = ast.unparse(node.func)
        if any(isinstance(each, ast.Starred) for each in node.args) or any(
                each.arg is None for each in node.keywords):
            self.refuse("* and ** are not supported", node)
        args = [self.value(each, names) for each in node.args]
        keywords = {str(each.arg): self.value(each.value, names) for each in node.keywords}
        if is_known(function):
            if keywords:
                self.refuse(f"{called} takes no arguments by name here", node)
            try:
                return apply(function, [self.node(each, node) for each in args])
            except TypeError as error:
                self.refuse(str(error), node)
        if self.depth >= DEPTH:
            self.refuse(f"{called} calls itself, or calls are nested too deeply", node)
        if isinstance(function, Closure):
            names_there, inner = function.names, function.reader

            def outside(name: str) -> Value:
                return names_there[name] if name in names_there else inner.outside(name)

            reader = Reader(self.graph, function.source, outside, self.depth + 1)
            defaults = function.source.node.args
            known = dict(zip(reversed([a.arg for a in (*defaults.posonlyargs, *defaults.args)]),
                             (inner.value(each, names_there)
                              for each in reversed(defaults.defaults)), strict=False))
            known |= {a.arg: inner.value(each, names_there) for a, each in zip(
                defaults.kwonlyargs, defaults.kw_defaults, strict=True) if each is not None}
        elif isinstance(function, FunctionType):
            reader = Reader.of(self.graph, function, self.depth + 1)
            own = function.__code__.co_varnames[: function.__code__.co_argcount]
            values = function.__defaults__ or ()
            known = dict(zip(own[len(own) - len(values):], values, strict=True))
            known |= function.__kwdefaults__ or {}
        else:
            self.refuse(f"{called} is not a function that can be differentiated here", node)
        return reader.read(self._bound(reader.source.node, args, keywords, known, node))

    def _bound(
        self, function: Function, args: list[Value], keywords: Names, known: Names, node: ast.Call
    ) -> Names:
        """Return the values of a function's arguments by name."""
        called, wanted = ast.unparse(node.func), argument_names(function)
        if function.args.vararg or function.args.kwarg:
            self.refuse(f"{called} takes any number of arguments, which is not supported", node)
        positional = len(wanted) - len(function.args.kwonlyargs)
        given = dict(zip(wanted[:positional], args, strict=False))
        unknown = [name for name in keywords if name not in wanted or name in given]
        missing = [name for name in wanted if name not in {**known, **given, **keywords}]
        if len(args) > positional or unknown or missing:
            wrong = (f"no value for {missing[0]!r}" if missing else
                     f"no use for {unknown[0]!r}" if unknown else
                     f"{len(args)} arguments, not {positional}")
            self.refuse(f"the call of {called} has {wrong}", node)
        return {**known, **given, **keywords}


def _joined(op: ast.boolop, values: list[Node]) -> Node:
    """Return what `and` or `or` gives: where one is a number, the operand that decides."""
    result = values[-1]
    for each in reversed(values[:-1]):
        if each.is_truth and result.is_truth:
            result = both("and" if isinstance(op, ast.And) else "or", each, result)
        else:
            a, b = number_of(each), number_of(result)
            result = select(truth_of(each), *((b, a) if isinstance(op, ast.And) else (a, b)))
    return result


def _names_set(function: Function) -> Iterator[str]:
    """Return the names that a function gives values to, once for each time."""
    todo: list[ast.AST] = list(function.body) if isinstance(function.body, list) else []
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(node))


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return f"the constant {node.value!r}"
    return NAMES.get(type(node), type(node).__name__)

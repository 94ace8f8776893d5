"""Every small change that a module's code allows, which `tests.mutants` tries.

Left alone is what only documents, types, logs or refuses: docstrings, annotations, `__all__`,
decorators, logging, the making of exceptions, and blocks that only a type checker reads.
"""

import ast
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
SIGNS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}  # fmt: skip
PAIRS = [("right", "left"), ("row", "column"), ("rows", "columns"), ("top", "bottom")]
SIDES = dict(PAIRS) | {second: first for first, second in PAIRS}
TYPES_ONLY = {"annotation", "returns", "decorator_list", "bases", "format_spec", "type_params"}
GENERICS = {"dict", "list", "tuple", "set", "frozenset", "type"}
LOGGED = {"debug", "info", "warning", "error", "exception", "critical", "log"}
Record = dict[str, Any]
"""One mutant, as the JSON file describes it."""


@dataclass
class Mutant:
    """A module's code with one value in place of another.

    Attributes:
        around: the smallest expression or statement round it that means something by itself.
        holder: the node or list that holds the value, under `key`.
        value: what is put there.
    """

    module: str
    qualname: str
    operator: str
    tree: ast.Module
    statement: ast.stmt
    around: ast.AST
    holder: Any
    key: Any
    value: Any

    def _put(self, value: object) -> object:
        """Put a value in place of the present one, and return that."""
        held = self.holder if isinstance(self.holder, list) else vars(self.holder)
        before = held[self.key]
        held[self.key] = value
        return before

    def source(self) -> str:
        """Return the code of the whole changed module."""
        return "\n".join(self._changed(self.tree)[1])

    def _changed(self, node: ast.AST) -> list[list[str]]:
        """Return the lines of a node before and after the change."""
        texts = [ast.unparse(node)]
        before = self._put(self.value)
        texts.append(ast.unparse(node))
        self._put(before)
        return [text.splitlines() for text in texts]

    @functools.cached_property
    def record(self) -> Record:
        """The mutant as the JSON file describes it, with the first line that differs."""
        (before, after), expression = (
            next((pair for pair in zip(*lines, strict=False) if pair[0] != pair[1]), ("", ""))
            for lines in (self._changed(self.statement), self._changed(self.around))
        )
        return {
            "module": self.module,
            "line": getattr(self.around, "lineno", self.statement.lineno),
            "qualname": self.qualname,
            "operator": self.operator,
            "before": before,
            "after": after,
            "expression": list(expression),
        }


def _swaps(elements: list[ast.expr]) -> list[list[ast.expr]]:
    """Return the lists in which two neighbours have changed places."""
    return [
        [*elements[:at], elements[at + 1], elements[at], *elements[at + 2 :]]
        for at in range(len(elements) - 1)
        if not any(isinstance(element, ast.Starred) for element in elements[at : at + 2])
        if ast.dump(elements[at]) != ast.dump(elements[at + 1])
    ]


def _changes(  # noqa: PLR0912
    node: ast.AST, holder: object, key: object
) -> Iterator[tuple[str, Any, Any, Sequence[Any]]]:
    """Yield each operator that fits a node, with what holds the value, and the other values."""
    match node:
        case ast.Compare():
            for at, kind in enumerate(map(type, node.ops)):
                yield "comparison", node.ops, at, [COMPARISONS[kind]()]
        case ast.BoolOp():
            yield "and/or", node, "op", [ast.Or() if isinstance(node.op, ast.And) else ast.And()]
        case ast.BinOp() | ast.AugAssign():
            parts = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
            if type(node.op) in SIGNS and not any(map(_is_literal, parts)):
                yield "arithmetic", node, "op", [SIGNS[type(node.op)]()]
        case ast.UnaryOp(op=ast.USub()):
            yield "arithmetic", holder, key, [node.operand]
        case ast.UnaryOp(op=ast.Not()):
            yield "guard", holder, key, [node.operand]
        case ast.If(body=[*_, ast.Raise() | ast.Return() | ast.Continue()]):
            yield "guard", node, "test", [ast.Constant(False)]
        case ast.Constant(value=bool()):
            yield "constant", node, "value", [not node.value]
        case ast.Constant(value=int() | float()):
            yield "constant", node, "value", [node.value + 1, node.value - 1]
        case ast.Constant(value=str()) if node.value in SIDES:
            yield "sides", node, "value", [SIDES[node.value]]
        case ast.Attribute(attr="T", ctx=ast.Load()):
            yield "axes", holder, key, [node.value]
        case ast.Attribute(ctx=ast.Load()) if node.attr in SIDES:
            yield "sides", node, "attr", [SIDES[node.attr]]
        case ast.Subscript(slice=ast.Constant(value=0 | 1 as index)):
            yield "axes", node.slice, "value", [1 - index]
        case ast.Subscript(slice=ast.Tuple()):
            yield "axes", node.slice, "elts", _swaps(node.slice.elts)
        case ast.Slice(lower=None, upper=None, step=ast.UnaryOp(op=ast.USub())):
            yield "axes", node, "step", [None]
        case ast.keyword(arg="axis", value=ast.Constant(value=int(axis))):
            yield "axes", node.value, "value", [1 - axis if axis in (0, 1) else axis - 1]
        case ast.Assign(targets=[ast.Tuple() as target]):
            yield "axes", target, "elts", _swaps(target.elts)
        case (
            ast.For(target=ast.Tuple() as target) | ast.comprehension(target=ast.Tuple() as target)
        ):
            if _name(node.iter) == "zip":
                yield "axes", target, "elts", _swaps(target.elts)


def _is_literal(node: ast.expr) -> bool:
    """Say whether a node is a literal text or list, which is added to but not subtracted from."""
    lists = isinstance(node, ast.JoinedStr | ast.List | ast.Tuple)
    return lists or isinstance(getattr(node, "value", None), str)


def _name(node: ast.AST) -> str:
    """Return the last part of the name of what is called, subscripted or imported."""
    node = getattr(node, "func", node)
    return getattr(node, "attr", None) or getattr(node, "id", "")


def _is_left_alone(node: ast.AST) -> bool:
    """Say whether nothing in a node is changed: it only documents, types, logs or refuses."""
    match node:
        case ast.If():
            return any(name in ast.unparse(node.test) for name in ("TYPE_CHECKING", "__name__ =="))
        case ast.Call(func=ast.Attribute() as func) if func.attr in LOGGED:
            return "log" in ast.unparse(func.value).lower()
        case ast.Call():
            return _name(node).endswith(("Error", "Exception", "Warning", "warn", "TypeVar"))
        case ast.Subscript():
            name = _name(node.value).lstrip("_")
            return name in GENERICS or (name[:1].isupper() and not name.isupper())
        case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.keyword(arg="strict"):
            return True
        case _:
            documents = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            return documents or type(node).__name__ in ("Raise", "TypeAlias")


def find_mutants(module: str, source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of the code."""
    tree = ast.parse(source)
    mutants: list[Mutant] = []
    done: set[int] = set()

    def walk(node: ast.AST, holder: Any, key: Any, state: tuple[str, ast.stmt, ast.AST]) -> None:
        if _is_left_alone(node) or id(node) in done:
            return
        scope, statement, around = state
        inside = (ast.Constant, ast.Name, ast.Tuple, ast.Slice, ast.UnaryOp, ast.Starred)
        outer = around
        if isinstance(node, ast.stmt):
            statement = around = node
        elif isinstance(node, ast.expr) and not isinstance(node, inside):
            around = node
        for operator, where, what, values in _changes(node, holder, key):
            if operator == "axes" and where is not holder:
                done.add(id(where.step if what == "step" else where if what == "value" else None))
            seen = outer if where is holder else around
            mutants.extend(
                Mutant(module, scope, operator, tree, statement, seen, where, what, value)
                for value in values
            )
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            scope = f"{scope}.{node.name}".removeprefix("<module>.")
        for field, value in ast.iter_fields(node):
            for at, child in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(child, ast.AST) and field not in TYPES_ONLY:
                    place = (value, at) if isinstance(value, list) else (node, field)
                    walk(child, *place, (scope, statement, around))

    for at, statement in enumerate(tree.body):
        walk(statement, tree.body, at, ("<module>", statement, statement))
    return mutants

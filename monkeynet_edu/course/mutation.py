"""Wrong versions of a solution made by machine: one sign, axis, index or constant changed at a time."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
_AXES = {"dim", "dims", "axis", "dim1", "dim2"}


@dataclass(frozen=True)
class Generated:
    """A generated mutant: what was changed (`kind: before -> after`) and the whole text."""

    description: str
    source: str


def generate(source: str) -> list[Generated]:
    """All mutants of a function's text; docstring, annotations and defaults stay as they are."""
    tree = ast.parse(source)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    found: dict[str, Generated] = {}
    for statement_index, statement in enumerate(function.body):
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        before = ast.unparse(statement)
        for kind, changed in _variants(statement):
            after = ast.unparse(changed)
            if after == before:
                continue
            copied = copy.deepcopy(tree)
            target = next(node for node in copied.body if isinstance(node, ast.FunctionDef))
            target.body[statement_index] = changed
            text = ast.unparse(ast.fix_missing_locations(copied))
            found.setdefault(text, Generated(f"{kind}: {before} -> {after}", text))
    return list(found.values())


def _variants(statement: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    """Copies of a statement with one node changed."""
    count = sum(1 for _ in ast.walk(statement))
    for index in range(count):
        for choice in range(2):
            copied = copy.deepcopy(statement)
            node = list(ast.walk(copied))[index]
            kind = _change(node, choice, _parents(copied))
            if kind:
                yield kind, copied


def _parents(tree: ast.AST) -> dict[ast.AST, ast.AST]:
    return {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}


def _change(node: ast.AST, choice: int, parents: dict[ast.AST, ast.AST]) -> str:
    """Changes a node in place; the kind of change, or an empty text where there is none to make."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS and choice == 0:
        node.op = _OPERATORS[type(node.op)]()
        return "sign" if isinstance(node.op, ast.Add | ast.Sub) else "operator"
    if isinstance(node, ast.AugAssign) and type(node.op) in _OPERATORS and choice == 0:
        node.op = _OPERATORS[type(node.op)]()
        return "sign"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and choice == 0:
        if not isinstance(node.operand, ast.Constant):
            node.op = ast.UAdd()
            return "sign"
        return ""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _change_number(node, choice, parents)
    return ""


def _change_number(node: ast.Constant, choice: int, parents: dict[ast.AST, ast.AST]) -> str:
    value = node.value
    assert isinstance(value, int | float)
    if isinstance(value, float):
        node.value = value * 2 if choice == 0 else -value
        return "constant"
    kind = _place(node, parents)
    node.value = value + 1 if choice == 0 else value - 1
    if kind == "constant" and node.value < 0:
        node.value = value + 2
    if isinstance(node.value, int) and node.value < 0:
        return _negative(node, parents, kind)
    return kind


def _negative(node: ast.Constant, parents: dict[ast.AST, ast.AST], kind: str) -> str:
    """-(−1) cannot be written as a constant: such a variant is left out."""
    return "" if isinstance(parents.get(node), ast.UnaryOp) else kind


def _place(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    """Whether a number is an index, an axis or a constant."""
    below, parent = node, parents.get(node)
    while parent is not None:
        if isinstance(parent, ast.Subscript) and below is parent.slice:
            return "index"
        if isinstance(parent, ast.keyword):
            return "axis" if parent.arg in _AXES else "constant"
        if isinstance(parent, ast.Call):
            return "constant"
        below, parent = parent, parents.get(parent)
    return "constant"

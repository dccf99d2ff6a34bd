"""Conditions on the fields of records, such as ``heuristic == 'lexical_overlap' and length < 20``.

A condition is read by a small grammar, and nothing of it is executed: comparisons of fields with texts and numbers,
``in`` lists of these, and ``and``, ``or``, ``not``, in the way that Python writes them.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping

Value = str | int | float | bool | None
Record = Mapping[str, object]
Predicate = Callable[[Record], bool]

COMPARE: dict[type[ast.cmpop], Callable[..., object]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
HOW = "write it as heuristic == 'lexical_overlap', length < 20, or label in [0, 2], with and, or, not between them"
MOST_LETTERS = 2000


def parse(text: str) -> Predicate:
    """A condition as a function of a record.

    A record without the field raises a KeyError of its name. A field that is a text is read as a number where it is
    compared with one, since tables in CSV hold nothing else.

    Args:
        text: The condition.

    Raises:
        ValueError: If it is not in the grammar.

    >>> parse("label in [0, 2] and not kind == 'a'")({"label": "2", "kind": "b"})
    True
    """
    if len(text) > MOST_LETTERS:
        raise ValueError(f"a condition has at most {MOST_LETTERS} letters, and this has {len(text)}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} is no condition; {HOW}") from error
    return _predicate(tree, text)


def _predicate(node: ast.expr, text: str) -> Predicate:
    match node:
        case ast.BoolOp(op, values):
            parts = [_predicate(value, text) for value in values]
            every = all if isinstance(op, ast.And) else any
            return lambda record: every(part(record) for part in parts)
        case ast.UnaryOp(ast.Not(), operand):
            inner = _predicate(operand, text)
            return lambda record: not inner(record)
        case ast.Compare(ast.Name(field), [op], [other]):
            return _comparison(field, op, other, text)
    raise ValueError(f"{ast.unparse(node)!r} in {text!r} is no comparison of a field; {HOW}")


def _comparison(field: str, op: ast.cmpop, other: ast.expr, text: str) -> Predicate:
    """One field compared with a value, or looked for in a list of values.

    Raises:
        ValueError: If it is compared otherwise.
    """
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(other, ast.List | ast.Tuple | ast.Set):
            raise ValueError(f"{ast.unparse(other)!r} in {text!r} is no list; {HOW}")
        values, wanted = [_value(one, text) for one in other.elts], isinstance(op, ast.In)
        return lambda record: any(_like(record[field], one) == one for one in values) is wanted
    compare = COMPARE.get(type(op))
    if compare is None:
        raise ValueError(f"{text!r} compares in a way that is not known; {HOW}")
    value = _value(other, text)

    def holds(record: Record) -> bool:
        own = _like(record[field], value)
        if isinstance(op, ast.Eq | ast.NotEq):
            return bool(compare(own, value))
        try:
            return bool(compare(own, value))
        except TypeError:  # a missing value, or a text, is neither above nor below a number
            return False

    return holds


def _value(node: ast.expr, text: str) -> Value:
    """A text or a number.

    Raises:
        ValueError: If it is neither.
    """
    try:
        found = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"{ast.unparse(node)!r} in {text!r} is no text and no number; {HOW}") from error
    if not isinstance(found, str | int | float | bool | None):
        raise ValueError(f"{ast.unparse(node)!r} in {text!r} is no text and no number; {HOW}")
    return found


def _like(own: object, value: Value) -> object:
    """A field in the form that is compared with a value: a text as a number, if the value is one."""
    if isinstance(own, str) and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(own)
        except ValueError:
            return own
    return own

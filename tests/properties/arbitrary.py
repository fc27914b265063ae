"""Any value of any message, drawn from the message's own types and bounds."""

import re
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

INT_MIN, INT_MAX = -(2**63), 2**63 - 1


@cache
def messages(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Messages of one type that its decoder takes."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return _struct(info)


def _struct(info: inspect.StructType) -> st.SearchStrategy[Any]:
    return st.builds(info.cls, **{field.name: _value(field.type) for field in info.fields})


def _value(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.StructType():
            return _struct(info)
        case inspect.UnionType():
            return st.one_of([_value(one) for one in info.types])
        case inspect.VarTupleType():
            most = min(info.max_length or 4, 4)
            return st.lists(_value(info.item_type), min_size=info.min_length or 0, max_size=most).map(tuple)
        case inspect.DictType():
            return st.dictionaries(_value(info.key_type), _value(info.value_type), max_size=3)
        case _:
            return _single(info)


def _single(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.IntType():
            least = INT_MIN if info.ge is None else info.ge
            most = info.le if info.le is not None else INT_MAX if info.lt is None else info.lt - 1
            return st.integers(int(least), int(most))
        case inspect.StrType(pattern=str(pattern)):
            return st.from_regex(re.compile(pattern.replace(r"$(?!\n)", ""), re.ASCII), fullmatch=True)
        case inspect.StrType():
            return st.text(st.characters(exclude_categories=["Cs"]), min_size=info.min_length or 0, max_size=20)
        case inspect.BytesType():
            return st.binary(max_size=60)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.EnumType():
            return st.sampled_from(info.cls)
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case _:
            raise NotImplementedError(info)

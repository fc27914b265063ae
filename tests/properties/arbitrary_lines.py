"""Any line of text that a result may hold."""

import unicodedata
from typing import Final

from hypothesis import strategies as st

from gridlight.messages.limits import LINE_CHARACTERS_MAX, THRESHOLD_REPORT
from gridlight.messages.lines import TextLine
from gridlight.messages.results import SCORE_ONE

_U16: Final = st.integers(0, 65_535)
_SHOWN: Final = st.characters(exclude_categories=("C", "Z"))


def text_lines() -> st.SearchStrategy[TextLine]:
    """Their texts are in the form that a result's are in."""
    texts = st.text(_SHOWN, min_size=1, max_size=20).map(lambda text: unicodedata.normalize("NFC", text).strip())
    return st.builds(
        TextLine,
        score=st.integers(THRESHOLD_REPORT, SCORE_ONE),
        quad=st.tuples(*[_U16] * 8),
        text=texts.filter(lambda text: 1 <= len(text) <= LINE_CHARACTERS_MAX),
    )

"""The `[trust]` table: a profile and what differs from it, or a line that says which key is wrong."""

from typing import Any

import msgspec
import pytest

from gridlight.messages.trust import LAPTOP, PRODUCTION, PROFILES, TrustParameters, parameters_from


def test_an_empty_table_is_production() -> None:
    assert parameters_from({}) == PRODUCTION


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_profile_is_taken_by_its_name(profile: str) -> None:
    assert parameters_from({"profile": profile}) == PROFILES[profile]
    assert PROFILES[profile].profile == profile


def test_what_a_table_sets_differs_from_its_profile_and_nothing_else_does() -> None:
    parameters = parameters_from({"profile": "laptop", "trusted_after": 3, "are_prefixes_distinct": True})

    assert parameters == msgspec.structs.replace(LAPTOP, trusted_after=3, are_prefixes_distinct=True)


def test_a_whole_table_says_what_it_was_made_of() -> None:
    assert parameters_from(msgspec.to_builtins(LAPTOP)) == LAPTOP


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"profile": "desktop"}, r"no profile 'desktop'; there are laptop, production$"),
        ({"profile": 1}, r"no profile 1; there are laptop, production$"),
        ({"profile": ["laptop"]}, r"no profile \["),
        ({"trusted_afte": 8}, r"no key trusted_afte; there are profile, trusted_after, "),
        ({"trusted_after": 0}, r"`int` >= 1 - at `\$\.trusted_after`$"),
        ({"trusted_after": True}, r"Expected `int`, got `bool` - at `\$\.trusted_after`$"),
        ({"audit_ppm_min": 0.05}, r"Expected `int`, got `float` - at `\$\.audit_ppm_min`$"),
        ({"canary_ppm": 1_000_001}, r"`int` <= 1000000 - at `\$\.canary_ppm`$"),
        ({"finality_lag": 2}, r"Invalid enum value 2 - at `\$\.finality_lag`$"),
        ({"are_prefixes_distinct": "no"}, r"Expected `bool`, got `str` - at `\$\.are_prefixes_distinct`$"),
    ],
)
def test_a_wrong_key_or_value_is_named(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"^\[trust\] has .*" + said):
        parameters_from(table)


def test_an_unknown_key_is_answered_with_all_known_ones() -> None:
    with pytest.raises(ValueError, match="no key") as refused:
        parameters_from({"zeal": 1})

    assert all(key in str(refused.value) for key in TrustParameters.__struct_fields__)

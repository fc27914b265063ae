"""Whether two texts are nearly one: by how many characters have to be changed to make one of the other."""


def is_near(one: str, other: str, share_max: int) -> bool:
    """Whether at most `share_max` (in 1e-4) of the longer text's characters differ; spaces do not count."""
    one, other = "".join(one.split()), "".join(other.split())
    allowed = share_max * max(len(one), len(other))
    if abs(len(one) - len(other)) * 10_000 > allowed:
        return False
    return edit_distance(one, other) * 10_000 <= allowed


def edit_distance(one: str, other: str) -> int:
    """Insertions, deletions and replacements of single characters, the fewest (Levenshtein).

    Hyyro's form of Myers' bit vectors (H. Hyyro, "Explaining and extending the bit-parallel approximate string
    matching algorithm of Myers", 2001): a column of the table is two integers of `len(one)` bits. O(len(other)) steps.
    """
    if not one:
        return len(other)
    places: dict[str, int] = {}
    for number, character in enumerate(one):
        places[character] = places.get(character, 0) | 1 << number
    mask, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    up, down, distance = mask, 0, len(one)
    for character in other:
        same = places.get(character, 0)
        diagonal = (((same & up) + up) ^ up) | same | down
        right, left = down | ~(diagonal | up), up & diagonal
        distance += bool(right & last) - bool(left & last)
        right, left = right << 1 | 1, left << 1
        up, down = (left | ~(diagonal | right)) & mask, right & diagonal & mask
    return distance

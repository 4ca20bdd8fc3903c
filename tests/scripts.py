"""A script as compilers of Elm write it: the same bytes whenever it is made."""

import random


def script(size: int) -> bytes:
    """Return `size` bytes of minified JavaScript that shrink as the client's own script does."""
    source = random.Random(665_093)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(4000)]
    forms = (
        "var {}=function({}){{return {}({})}};",
        "{}({},{{a:{},b:{}}});",
        "A2({},{},F3({}))({});",
        "case {}:return {}.{}||{};",
    )
    parts: list[str] = []
    length = 0
    while length < size:
        parts.append(source.choice(forms).format(*source.choices(words, k=4)))
        length += len(parts[-1])
    return "".join(parts)[:size].encode()

"""Tables of a page that commands write: each between two comments that name it."""


def markers(name: str) -> tuple[str, str]:
    """The lines that table `name` stands between."""
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def put_between_markers(page: str, name: str, table: str) -> str:
    """`page` with everything between the markers of `name` replaced by `table`.

    Raises:
        ValueError: the page lacks a marker.
    """
    first, last = markers(name)
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not (begin and end):
        raise ValueError(f"Expected the lines `{first}` and `{last}` in the page. Add them.")
    return f"{before}{first}\n{table}\n{last}{after}"

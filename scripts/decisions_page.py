"""docs/decisions/README.md: every decision by its number and title."""

from result_tables import NOTE, ROOT


def decisions_page() -> str:
    """One line a file, in the order of their numbers."""
    lines = []
    for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        lines.append(f"- [{title}]({path.name})")
    text = "Why things are as they are, half a page each. A decision is not rewritten: a later one replaces it."
    return f"# Decisions\n\n{text}\n\n{NOTE}\n\n" + "\n".join(lines) + "\n"

"""docs/cli.md: every command with its options, out of the parser itself."""

import argparse
from collections.abc import Iterator

from result_tables import NOTE, table

from haste.cli import build_parser


def cli_page() -> str:
    """Every command with its options, out of the parser itself."""
    parser = build_parser()
    parts = [
        "# Command line",
        "`haste COMMAND --help` prints the same. Errors are one line on stderr, exit status 2.",
        NOTE,
    ]
    for name, help_text, command in commands(parser):
        rows = [(f"`{invocation(action)}`", action_help(action)) for action in arguments(command)]
        parts += [f"## haste {name}", f"{help_text[:1].upper()}{help_text[1:]}."]
        parts += [table(("argument", "what"), rows)] if rows else []
    return "\n\n".join(parts) + "\n"


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, help line and parser of each command."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            for name, command in action.choices.items():
                yield name, helps.get(name, ""), command


def arguments(command: argparse.ArgumentParser) -> list[argparse.Action]:
    """All arguments but --help."""
    return [action for action in command._actions if action.dest != "help"]  # noqa: SLF001


def invocation(action: argparse.Action) -> str:
    """`--limit N`, `PATH...`, `--preset {paper,default}`."""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else None
    shown = action.metavar or choices or action.dest.upper()
    value = shown if isinstance(shown, str) else " ".join(shown)
    if action.nargs in ("+", "*"):
        value += "..."
    names = ", ".join(action.option_strings)
    return f"{names} {value}" if names and action.nargs != 0 else names or value


def action_help(action: argparse.Action) -> str:
    """The help line with argparse's own placeholders filled in."""
    return (action.help or "") % vars(action)

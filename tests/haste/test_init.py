"""Laws of the public names."""

from types import ModuleType

import haste


def test_the_public_names_are_sorted_and_complete() -> None:
    bound = {name for name, value in vars(haste).items() if not isinstance(value, ModuleType)}
    assert haste.__all__ == sorted({name for name in bound if not name.startswith("_")} | {"models"})

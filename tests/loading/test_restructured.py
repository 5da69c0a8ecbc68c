"""reStructuredText as Sphinx has it: no words of roles and directives are lost."""

import pytest

from qa_service.loading.outline import Limits, ParsedDocument
from qa_service.loading.restructured import read_restructured


def read(text: str) -> ParsedDocument:
    (found,) = read_restructured(text.encode(), Limits())
    return found


def content(text: str) -> list[tuple[str, str]]:
    found = read(text)
    return [(block.kind, found.text[block.start : block.end]) for block in found.outline.blocks]


def words(text: str) -> list[str]:
    return [text for _, text in content(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See :ref:`the pier <pier>` now.", "See the pier now."),
        ("Use :py:meth:`~boats.Boat.sail` or :func:`row`.", "Use sail or row."),
        ("A :class:`!Boat` and a :term:`berth`.", "A Boat and a berth."),
        ("`Anna`:boat: sails, :kbd:`Ctrl+C` stops her.", "Anna sails, Ctrl+C stops her."),
        ("Both *old* and :strong:`new`.", "Both old and new."),
        (":doc:`Set up </install>` first.", "Set up first."),
    ],
)
def test_the_words_of_a_role_are_read(text: str, expected: str) -> None:
    """Its title, or the name without the path that is not shown."""
    assert words(text + "\n") == [expected]


def test_a_reference_without_words_has_those_of_its_heading() -> None:
    """If the label is in the same file, also below it."""
    text = "Boats\n=====\n\nSee :ref:`nets` and :ref:`other`.\n\n.. _nets:\n\nCare of nets\n------------\n\nDry them.\n"
    assert words(text) == ["See Care of nets and other.", "Dry them."]


DIRECTIVES = """
The pier
========

.. versionadded:: 2.0
   The crane was added.

.. deprecated:: 2.1 Use the
   other crane.

   It is stronger.

.. seealso:: The harbour.

.. function:: moor(boat)
              moor(boat, berth)
   :noindex:

   Moors a boat.

   :param boat: the boat

.. class:: Crane(load)

   Lifts boats.

   .. method:: lift(boat)

      Lifts one.

.. glossary::
   :sorted:

   berth
      A place for a boat.

.. tab-set::

   .. tab-item:: North
      :sync: n

      * Open at five.

.. only:: html

   Read this on the web.

.. toctree::
   :maxdepth: 2

   nets
   ropes

.. image:: pier.png
   :alt: The pier at dawn
   :loading: lazy

Last line.
"""


def test_the_text_of_unknown_directives_is_content() -> None:
    """In its place, with arguments; lists of pages are not."""
    assert words(DIRECTIVES) == [
        "Added in version 2.0: The crane was added.",
        "Deprecated since version 2.1: Use the other crane.",
        "It is stronger.",
        "The harbour.",
        "moor(boat)",
        "moor(boat, berth)",
        "Moors a boat.",
        "param boat: the boat",
        "Crane(load)",
        "Lifts boats.",
        "lift(boat)",
        "Lifts one.",
        "berth",
        "A place for a boat.",
        "North",
        "Open at five.",
        "Read this on the web.",
        "The pier at dawn",
        "Last line.",
    ]


@pytest.mark.parametrize("name", ["code-block", "sourcecode", "code", "prompt", "testcode"])
@pytest.mark.parametrize("options", ["", "   :caption: pier.py\n   :emphasize-lines: 2\n", "   :linenos:\n"])
def test_code_is_kept_with_any_options(name: str, options: str) -> None:
    """As code, with its indentation."""
    text = f".. {name}:: python\n{options}\n   for boat in boats:\n       moor(boat)\n\n   # done\n"
    assert content(text) == [("code", "for boat in boats:\n    moor(boat)\n\n# done")]


def test_titles_of_tables_and_sidebars_are_no_sections() -> None:
    """The text below them belongs to the section around them."""
    table = ".. table:: Prices\n\n   == ==\n   a  b\n   == ==\n   1  2\n   == ==\n"
    text = f"Boats\n=====\n\n.. sidebar:: Hint\n\n   Dry them.\n\n{table}"
    assert {block.section_path for block in read(text).outline.blocks} == {()}
    assert words(text) == ["Hint", "Dry them.", "Prices", "a | b", "1 | 2"]


def test_deeply_nested_directives_are_read() -> None:
    """Up to a limit, below which the text is one paragraph."""
    text = "".join(f"{'   ' * depth}.. box:: Level {depth}\n\n" for depth in range(40)) + "   " * 40 + "The end.\n"
    found = " ".join(words(text))
    assert "Level 0" in found
    assert "The end." in found


def test_cells_of_tables_keep_their_places() -> None:
    """Empty ones too; a rule stands below the header, so that each passage of the table has it."""
    found = read(
        "+------+--------+\n| boat | length |\n+======+========+\n| Anna |        |\n+------+--------+\n"
        "|      | 13     |\n+------+--------+\n| Wide cell     |\n+------+--------+\n"
    )
    assert found.text == "boat | length\n--- | ---\nAnna | \n|  | 13\nWide cell | "

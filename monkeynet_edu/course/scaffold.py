"""What a learner is given of a solution: five levels of support, all made from the same function.

``worked`` shows every line as a comment, ``order`` shuffles them, ``blanks`` leaves out pieces, ``stub`` keeps what the
function does in words, ``blank page`` only what it is for. None of them runs: each raises NotImplementedError, reads a
blank, or defines nothing.
"""

from __future__ import annotations

import ast
import io
import random
import re
import textwrap
import tokenize
from dataclasses import dataclass

from monkeynet_edu.course.exercise import Exercise, solution_source

BLANK = "____"
_WIDTH = 96  # of a comment in a notebook's cell
_WHERE = "Write it in this cell, below. The next cell submits it by its name, as text, for there is no such function yet."
_TINY = 0.01  # constants below it cannot be guessed: the learner has to be told


@dataclass(frozen=True)
class Parts:
    """A function's text, taken apart.

    Attributes:
        head: decorators and signature, as written.
        docstring: with its quotes, as written; empty where there is none.
        body: the rest, as written.
        documentation: the docstring's content, indentation removed.
        call: name and parameters without types: ``lattice(height, width, *, device=None)``.
    """

    head: str
    docstring: str
    body: str
    documentation: str
    call: str


def take_apart(source: str) -> Parts:
    """Takes the text of one function apart.

    Raises:
        ValueError: the text is not one function, or its body begins on the line of its signature.
    """
    statements = ast.parse(source).body
    if len(statements) != 1 or not isinstance(statements[0], ast.FunctionDef):
        raise ValueError("expected the text of one function")
    function = statements[0]
    lines = source.splitlines()
    if function.body[0].lineno <= (function.args.args[-1].lineno if function.args.args else function.lineno):
        raise ValueError(f"{function.name}: expected the body below the signature")
    documentation = ast.get_docstring(function) or ""
    start = function.body[0].lineno - 1
    end = (function.body[0].end_lineno or start) if documentation else start
    if not documentation:  # comments between signature and first statement belong to the body
        while lines[start - 1].lstrip().startswith("#"):
            start = end = start - 1
    return Parts(
        head="\n".join(lines[:start]),
        docstring="\n".join(lines[start:end]),
        body="\n".join(lines[end:]).strip("\n"),
        documentation=documentation,
        call=f"{function.name}({_parameters(function)})",
    )


def solved_text(exercise: Exercise) -> str:
    """The solution as the solved notebook shows it: the library's own text."""
    return solution_source(exercise).strip("\n")


def submit_text(exercise: Exercise) -> str:
    """The cell after the exercise; a blank page is submitted by name, for nothing is defined yet."""
    answer = f'"{exercise.name}"' if exercise.level == "blank page" else exercise.name
    return f'ex.submit("{exercise.id}", {answer})'


def learner_text(exercise: Exercise) -> str:
    """The cell that the learner starts from.

    Raises:
        ValueError: the specification does not fit the solution: a blank that does not occur exactly once, a level without
            what it needs, or a constant of the solution that the learner is never told.
    """
    try:
        parts = take_apart(solved_text(exercise))
        text = {
            "worked": _worked,
            "order": _order,
            "blanks": _blanks,
            "stub": _stub,
            "blank page": _blank_page,
        }[exercise.level](exercise, parts)
        _must_name_constants(text, parts)
    except ValueError as error:
        raise ValueError(f"exercise {exercise.id} ({exercise.level}): {error}") from None
    return text


# --------------------------------------------------------------------------------------------------------- the levels


def _worked(exercise: Exercise, parts: Parts) -> str:
    """Every line as a comment, below the step that it is."""
    pieces, steps = _statements(parts.body), _numbered(exercise.steps)
    told = "Worked example: take the '# ' away from each line of Python, read it, and delete the last line of the cell."
    lines = []
    if len(steps) == len(pieces):
        for step, piece in zip(steps, pieces, strict=True):
            lines += [_comment(step), *_commented(piece)]
    else:
        lines += [*_steps(exercise), *(line for piece in pieces for line in _commented(piece))]
    return _cell(exercise, parts, told, "\n".join(lines))


def _order(exercise: Exercise, parts: Parts) -> str:
    """The lines in another order; the last one is never last, so that no swap of independent lines makes it right."""
    lines = logical_lines(without_comments(parts.body))
    if len(set(lines)) < 2:
        raise ValueError("expected at least two different lines to put in order")
    shuffled, source = list(lines), random.Random(exercise.id)
    while shuffled[-1] == lines[-1]:
        source.shuffle(shuffled)
    told = (
        "The lines are right, their order is not: put them in order, take the '# ' away, delete the last line of the cell."
    )
    return _cell(exercise, parts, told, "\n".join([*_steps(exercise), *(c for line in shuffled for c in _commented(line))]))


def _blanks(exercise: Exercise, parts: Parts) -> str:
    """The solution with pieces left out, and without its comments, which might name them."""
    if not exercise.blanks:
        raise ValueError("expected at least one text to leave blank")
    body = without_comments(parts.body)
    for text in exercise.blanks:
        if body.count(text) != 1:
            raise ValueError(f"expected the blank {text!r} once in the body, got {body.count(text)}")
        body = body.replace(text, BLANK)
    steps = [_comment(step) for step in _numbered(exercise.steps)]
    return _cell(exercise, parts, f"Fill in each {BLANK}.", "\n".join([*steps, body]), raises=False)


def _stub(exercise: Exercise, parts: Parts) -> str:
    """Signature, docstring, and the steps in words."""
    if not exercise.steps:
        raise ValueError("expected steps for the comments of the stub")
    return _cell(exercise, parts, "", "\n".join(_comment(step) for step in _numbered(exercise.steps)))


def _blank_page(exercise: Exercise, parts: Parts) -> str:
    """Only what to write: the statement, the name with its parameters, and what the docstring says of them."""
    sections = re.split(r"\n\n(?=Args:|Returns:|Raises:|Yields:)", parts.documentation)
    known = [text for text in sections[1:] if text.startswith(("Args:", "Returns:"))] or sections[:1]
    lines = [
        *_wrapped(f"Blank page: {exercise.statement}"),
        "",
        f"Write the whole function: {parts.call}",
        *(line for text in known for line in text.splitlines() if line),
        "",
        *_wrapped(_WHERE),
    ]
    return "\n".join(f"# {line}".rstrip() for line in lines)


def _cell(exercise: Exercise, parts: Parts, told: str, body: str, *, raises: bool = True) -> str:
    """Statement as a comment, signature, docstring, and what the level gives of the body."""
    top = [f"# {line}".rstrip() for text in (exercise.statement, told) if text for line in _wrapped(text)]
    end = ["    raise NotImplementedError"] if raises else []
    return "\n".join([*top, parts.head, *([parts.docstring] if parts.docstring else []), body, *end])


# ------------------------------------------------------------------------------------------------------- pieces of text


def without_comments(code: str) -> str:
    """Code without its comments, and without the lines that held nothing else."""
    lines = code.splitlines()
    for token in _tokens(code):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip() or "\0"
    return "\n".join(line for line in lines if line != "\0").strip("\n")


def logical_lines(code: str) -> list[str]:
    """Lines of code; one that is wrapped over several stays one. Empty lines are left out."""
    lines, found, start = code.splitlines(), [], 0
    for token in _tokens(code):
        if token.type == tokenize.NEWLINE:
            found.append("\n".join(line for line in lines[start : token.end[0]] if line.strip()))
            start = token.end[0]
    return found


def _tokens(code: str) -> list[tokenize.TokenInfo]:
    """Tokens of an indented block, with the rows and columns that they have in it."""
    # A block that begins indented is an error to the tokenizer: a line before it opens the block.
    source = io.StringIO(f"if 1:\n{code}\n").readline
    return [
        token._replace(start=(token.start[0] - 1, token.start[1]), end=(token.end[0] - 1, token.end[1]))
        for token in tokenize.generate_tokens(source)
        if token.start[0] > 1
    ]


def _statements(body: str) -> list[str]:
    """The top-level statements of a body, each with the comments above it."""
    rows = [node.lineno - 1 for node in ast.parse(textwrap.dedent(body)).body]
    ends = [node.end_lineno or 0 for node in ast.parse(textwrap.dedent(body)).body]
    lines = body.splitlines()
    starts = [0, *ends[:-1]]
    if len(rows) > 1 and any(a < b for a, b in zip(rows[1:], starts[1:], strict=True)):
        return [body]  # two statements on one line
    return ["\n".join(line for line in lines[a:b] if line.strip()) for a, b in zip(starts, ends, strict=True)]


def _commented(code: str) -> list[str]:
    """Code as comments at the depth of the body: removing '# ' restores it."""
    return [f"    # {line.removeprefix('    ')}" for line in code.splitlines()]


def _comment(text: str) -> str:
    """A sentence as a comment of the body, wrapped."""
    return "\n".join(f"    # {line}" for line in textwrap.wrap(text, _WIDTH - 6, subsequent_indent="   "))


def _steps(exercise: Exercise) -> list[str]:
    """All steps as comments, set apart from the commented code that follows."""
    return [*map(_comment, _numbered(exercise.steps)), *(["    #"] if exercise.steps else [])]


def _numbered(steps: tuple[str, ...]) -> list[str]:
    return [f"{number}. {step}" for number, step in enumerate(steps, start=1)]


def _wrapped(text: str) -> list[str]:
    """Lines of a text, paragraph by paragraph."""
    paragraphs = [
        textwrap.wrap(part, _WIDTH - 2, break_long_words=False, break_on_hyphens=False) for part in text.splitlines()
    ]
    return [line for part in paragraphs for line in (part or [""])]


def _parameters(function: ast.FunctionDef) -> str:
    """Parameters with their defaults, without types."""
    bare = ast.parse(ast.unparse(function)).body[0]
    assert isinstance(bare, ast.FunctionDef)
    given = bare.args
    for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
        if argument is not None:
            argument.annotation = None
    return ast.unparse(given)


def _must_name_constants(text: str, parts: Parts) -> None:
    """A constant such as 1e-7 cannot be guessed; the learner's text has to hold it."""
    told = {float(number) for number in re.findall(r"\d+\.?\d*(?:[eE][-+]?\d+)?", text)}
    values = [node.value for node in ast.walk(ast.parse(textwrap.dedent(parts.body))) if isinstance(node, ast.Constant)]
    for value in values:
        if isinstance(value, float) and 0 < value < _TINY and value not in told:
            raise ValueError(f"expected the constant {value!r} of the solution in the steps or the statement; name it")

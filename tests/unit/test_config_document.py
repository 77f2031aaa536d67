"""YAML text -> values and lines; what is no plain YAML is told with its line, and nothing in a file can take memory or time without bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elabs.config.document import Unreadable, dotted, near, parse


def problems(text: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(Unreadable) as refused:
        parse(text)
    return [(problem.line, dotted(problem.where), problem.text) for problem in refused.value.problems]


def test_every_key_and_item_has_its_line() -> None:
    document = parse("a:\n  b: 1\n\n  c:\n  - x\n  - y: 2\n# d\nd: {e: 3,\n  f: 4}\n")
    assert document.data == {"a": {"b": 1, "c": ["x", {"y": 2}]}, "d": {"e": 3, "f": 4}}
    assert {dotted(where): line for where, line in document.lines.items()} == {
        "a": 1, "a.b": 2, "a.c": 4, "a.c[0]": 5, "a.c[1]": 6, "a.c[1].y": 6, "d": 8, "d.e": 8, "d.f": 9,
    }  # fmt: skip
    assert document.line(("a", "b", "nothing", "here")) == 2
    assert document.line(("z",)) is None


def test_values_are_plain() -> None:
    assert parse("a: yes\nb: 2026-01-02\nc: 0.0.0.0:443\nd: ~\ne: 1.5\nf: 'x'\ng: true\n8000: h\ni: \"\\ud83d\\udc26\"\n").data == {
        "a": "yes", "b": "2026-01-02", "c": "0.0.0.0:443", "d": None, "e": 1.5, "f": "x", "g": True, "8000": "h", "i": "🐦",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "---\n...\n"])
def test_an_empty_text_is_an_empty_mapping(text: str) -> None:
    assert parse(text).data == {}


def test_anchors_and_merge_keys() -> None:
    document = parse("a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc:\n  <<: [*b, {z: 9, x: 8}]\n  w: *a\n")
    assert document.data["b"] == {"y": 3, "x": 1}
    assert document.data["c"] == {"w": {"x": 1, "y": 2}, "y": 3, "x": 1, "z": 9}
    assert document.lines["c", "x"] == 1
    assert document.lines["c", "z"] == 4


@pytest.mark.parametrize(
    ("text", "line", "where", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a", "given twice; the first is in line 1"),
        ("s:\n  a: 1\n  a: 1\n", 3, "s.a", "given twice; the first is in line 2"),
        ("a:\n\tb: 1\n", 2, "", "a tab"),
        ("a: 1\nb: x\t\n\tc: 1\n", 3, "", "a tab"),
        ("a: b: c\n", 1, "", "a second `: `"),
        ("a: 'x\nb: 1\n", 1, "", "never closed"),
        ("a:\n  b: 1\n c: 2\n", 3, "", "indented differently"),
        ("a: [1, 2\nb: 3\n", 2, "", "not closed"),
        ("a: {b: 1\n", 1, "", "not closed"),
        ("---\na: 1\n---\nb: 2\n", 3, "", "second document"),
        ("a: *x\n", 1, "", "anchor"),
        ("a: @x\n", 1, "", "put it in quotes"),
        ('a: "\\q"\n', 1, "", "unknown \\"),
        ("a: 1\nb: \x07\n", 2, "", "control character"),
        ("a: |\n b\nc\n", 3, "", "without `name: value`"),
        ("a: !!python/object:os.system x\n", 1, "a", "has no meaning here"),
        ("a: !mine {b: 1}\n", 1, "a", "has no meaning here"),
        ("a: !!int abc\n", 1, "a", "cannot be read as int"),
        ("a: .inf\n", 1, "a", "cannot be read as float"),
        ('a: "\\ud800"\n', 1, "a", "half a character"),
        ('"\\ud800": 1\n', 1, "", "a key must be a word"),
        ("? [a, b]\n: 1\n", 1, "", "a key must be a word"),
        ("{{ site }}: 1\n", 1, "", "a key must be a word"),
        ("a:\n  ~: 1\n", 2, "a", "a key must be a word"),
        ("a:\n  <<: 5\n", 2, "a", "<< takes an alias"),
        ("- a\n- b\n", 1, "", "not a list of settings"),
        ("just words\n", 1, "", "not a list of settings"),
        ("name:x\n", 1, "", "not a list of settings"),
        ("%YAML 3\n---\na: 1\n", 1, "", "not YAML"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, line: int, where: str, words: str) -> None:
    (found,) = problems(text)
    assert found[:2] == (line, where)
    assert words in found[2]


def test_every_double_key_is_told() -> None:
    assert [line for line, _, _ in problems("a: 1\na: 2\nb: {c: 1, c: 2}\na: 3\n")] == [2, 3, 4]


def test_aliases_do_not_unfold_without_end() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30))
    assert "more than 20000 values" in problems(laughs)[0][2]
    assert "nested more than 30 deep" in problems("a: &a [*a]\n")[0][2]
    assert "nested" in problems("a: &a {<<: *a}\n")[0][2]
    assert "nested" in problems("a: " + "[" * 500)[0][2]
    assert "nested" in problems("a: " + "{a: " * 200 + "1" + "}" * 200)[0][2]


@given(st.text(alphabet=st.sampled_from("ab:-&*<>[]{}|'\"#%!@\\ \n\t?,~`.0\x00é")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(parse(text).data, dict)
    except Unreadable as refused:
        assert refused.problems
        assert all("\n" not in problem.text for problem in refused.problems)


def test_near() -> None:
    known = ["after", "allow", "search_password_file", "search_user"]
    assert near("aftr", known) == "after"
    assert near("searchUser", known) == "search_user"
    assert near("password", known) == "search_password_file"
    assert near("search", known) in (None, "search_user")
    assert near("zzz", known) is None

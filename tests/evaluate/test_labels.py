"""Files of labels: ways to write them, and every refusal."""

from pathlib import Path

import pytest

from rcc_onnx.evaluate.labels import KidneyLabel, few, read_labels
from tests.support.errors import raises_code


def labels(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


EXPECTED = (KidneyLabel("a", "right", True, 12.5), KidneyLabel("ä b", "left", False))


@pytest.mark.parametrize(
    "text",
    [
        "case,side,lesion,size_mm\na,right,1,12.5\nä b,left,0,\n",
        "case;side;lesion;size_mm\r\na;right;yes;12,5\r\nä b;left;no;\r\n",
        "\ufeffcase;side;lesion;size_mm\na;right;1;12.5\nä b;left;0;0\n",
        # Columns in any order, capital letters, spaces, quotes, empty lines as spreadsheets leave.
        'Lesion, SIZE_MM ,case,Side\nTRUE,12.5,"a",Right\nfalse,," ä b ",LEFT\n,,,\n\n',
        # The same letter, made of two characters.
        "case,side,lesion,size_mm\na,right,1,12.5\na\u0308 b,left,0,\n",
    ],
)
def test_ways_to_write_the_same(tmp_path: Path, text: str) -> None:
    found = read_labels(labels(tmp_path, text))
    assert found.kidneys == EXPECTED
    assert found.summary.file == "labels.csv"
    assert found.summary.ignored_columns == ()


def test_the_header_decides_on_the_separator(tmp_path: Path) -> None:
    comma = read_labels(labels(tmp_path, "case,side,lesion\na;b,right,1\n"))
    assert (comma.summary.separator, comma.kidneys[0].case) == ("comma", "a;b")
    semicolon = read_labels(labels(tmp_path, "case;side;lesion\na,b;right;1\n"))
    assert (semicolon.summary.separator, semicolon.kidneys[0].case) == ("semicolon", "a,b")


def test_other_columns_are_named(tmp_path: Path) -> None:
    found = read_labels(labels(tmp_path, "case,side,lesion,size,note\na,right,1,30,x\n"))
    assert found.summary.ignored_columns == ("size", "note")
    assert found.kidneys[0].size_mm is None


def test_a_size_is_not_needed(tmp_path: Path) -> None:
    found = read_labels(labels(tmp_path, "case,side,lesion\na,right,1\n"))
    assert found.kidneys == (KidneyLabel("a", "right", True, None),)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "labels-file", "is empty"),
        (" \n\n", "labels-file", "is empty"),
        ("case,side,lesion\n", "labels-file", "no row"),
        ('case,side,lesion\n"a,right,1\n', "labels-file", "not valid CSV"),
        ("case\tside\tlesion\na\tright\t1\n", "labels-columns", "commas or semicolons"),
        ("case,side\na,right\n", "labels-columns", "lacks the column lesion"),
        ("a,right,1\n", "labels-columns", "case, side, lesion; its first line has: a"),
        ("case,side,lesion,Side\n", "labels-columns", "side more than once"),
        ("case,side,lesion\na,rigth,1\n", "labels-value", "line 2: side 'rigth'"),
        ("case,side,lesion\na,right,2\n", "labels-value", "lesion '2' is not 1"),
        ("case,side,lesion\na,right,\n", "labels-value", "lesion '' is not 1"),
        ("case,side,lesion\n,right,1\n", "labels-value", "no case"),
        ("case,side,lesion\na,right\n", "labels-value", "2 cells under 3 columns"),
        ("case,side,lesion,size_mm\na,right,1,big\n", "labels-value", "is not a number"),
        ("case,side,lesion,size_mm\na,right,1,0\n", "labels-value", "0 is not a size"),
        ("case,side,lesion,size_mm\na,right,1,-3\n", "labels-value", "-3 is not a size"),
        ("case,side,lesion,size_mm\na,right,1,nan\n", "labels-value", "nan is not a size"),
        ("case,side,lesion,size_mm\na,right,0,8\n", "labels-value", "where lesion is 0"),
        (
            "case,side,lesion\na,right,1\nb,left,0\na,Right,0\n",
            "labels-duplicate",
            r"a right \(lines 2, 4\)",
        ),
    ],
)
def test_unusable_labels_are_refused(tmp_path: Path, text: str, code: str, message: str) -> None:
    with raises_code(code, match=message) as caught:
        read_labels(labels(tmp_path, text))
    assert "labels.csv" in str(caught.value)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_labels_in_another_encoding_are_refused(tmp_path: Path, encoding: str) -> None:
    with raises_code("labels-file", match=r"labels\.csv.*CSV UTF-8"):
        read_labels(labels(tmp_path, "case,side,lesion\nä,right,1\n", encoding))


def test_all_bad_cells_are_counted_and_the_first_shown(tmp_path: Path) -> None:
    rows = "".join(f"case{number},up,1\n" for number in range(9))
    with raises_code("labels-value", match=r"\(9\): line 2: .*line 6: .*; \.\.\.") as caught:
        read_labels(labels(tmp_path, "case,side,lesion\n" + rows))
    assert "line 7" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with raises_code("labels-file", match="No such file"):
        read_labels(tmp_path / "none.csv")
    with raises_code("labels-file", match="cannot read"):
        read_labels(tmp_path)


def test_few() -> None:
    assert few("abc") == "a, b, c"
    assert few("abcdefgh") == "a, b, c, d, e and 3 more"

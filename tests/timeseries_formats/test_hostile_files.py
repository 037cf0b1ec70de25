"""Files that are not what they seem: always refused in words, never by an accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosim.__main__ import main
from cosim.errors import InputError
from cosim.profiles._ausgrid_file import CATEGORY, HEADER, read_records
from cosim.timeseries.formats import FORMATS, recognise

HEADS = {
    "entsoe_prices": "MTU (CET/CEST),Day-ahead Price [EUR/MWh],Currency",
    "smard": "Date;Time of day;Germany/Luxembourg[EUR/MWh]",
    "electricity_maps": "Datetime (UTC),Zone id,Carbon Intensity gCO2eq/kWh (LCA)",
    "elia": "Datetime;Resolution code;Region;Measured & Upscaled",
    "plain": "time,other,value",
}
CONTENTS = {
    "empty": b"",
    "blank": b"\n\n\n",
    "only a mark": b"\xef\xbb\xbf",
    "nothing but a header": b"%s\n",
    "utf-16": "time,value\n2024-01-01,1\n".encode("utf-16"),
    "latin-1": b"%s\n\xe4,\xf6,\xfc\n",
    "zero bytes": b"%s\n\x00\x00\x00,1\n",
    "cut off": b"%s\n2024-01-01 00:00,",
    "an open quote": b'%s\n"2024-01-01 00:00,1,2\n',
    "a line break in a cell": b'%s\n"a\nb","c","d"\n',
    "other rows": b"%s\n1,2,3,4,5\n1;2;3;4;5\n",
    "words": b"%s\nsome,words,here\nsome;words;here;too\n",
    "huge numbers": b"%s\n2024-01-01,1e999,9" + b"9" * 400 + b"\n",
    "a long cell": b"%s\n" + b"9" * 200_000 + b",1,2\n",
    "years away": b"%s\n9999-12-31T23:59:59+00:00,1,2\n0001-01-01T00:00:00-23:00,1,2\n",
}


@pytest.mark.parametrize("name", sorted(HEADS))
@pytest.mark.parametrize("content", sorted(CONTENTS))
def test_refused_by_every_format_and_by_inspect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str
) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(CONTENTS[content].replace(b"%s", HEADS[name].encode()))
    options = {"unit": "kW"} if name == "plain" else {}
    source = FORMATS[name].model_validate({"file": "file.csv", **options})
    with pytest.raises(InputError):
        source.series(source.sheet(tmp_path))
    assert recognise(path) in {name, None}
    with pytest.raises(InputError):
        read_records(tmp_path, Path("file.csv"))
    assert main(["profiles", "inspect", str(path)]) == 2
    shown = capsys.readouterr()
    assert not shown.out and "Traceback" not in shown.err and "internal error" not in shown.err


def test_headers_are_recognised() -> None:
    assert set(HEADS) == set(FORMATS)


@pytest.mark.parametrize("name", sorted(set(HEADS) - {"plain"}))
def test_two_columns_of_one_name(tmp_path: Path, name: str) -> None:
    delimiter = FORMATS[name].DELIMITER
    last = HEADS[name].split(delimiter)[1 if name == "entsoe_prices" else -1]
    cells = HEADS[name].count(delimiter) + 2
    rows = [HEADS[name] + delimiter + last, *([delimiter.join(["1"] * cells)] * 3)]
    (tmp_path / "file.csv").write_text("\n".join(rows))
    source = FORMATS[name].model_validate({"file": "file.csv"})
    with pytest.raises(InputError, match=r"2 (columns of|times)"):
        source.series(source.sheet(tmp_path))


def test_a_folder_and_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, tmp_path / "none.csv", tmp_path / "a\x00b"):
        assert recognise(path) is None
        assert main(["profiles", "inspect", str(path)]) == 2
    assert "internal error" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"title\n%s\n",
        b"title\n%s",
        b"%s\n1,1\n",
        b"title\n%s\n1,1.0,2000,GC,1/07/2011" + b",x" * 48 + b"\n",
        b"title\n%s\n1,1.0,2000,GC,31/02/2011" + b",0.1" * 48 + b"\n",
        b"title\n%s\n1,1.0,2000,GC,1-Foo-11" + b",0.1" * 48 + b"\n",
        b"title\n%s\n1.5,1.0,2000,GC,1/07/2011" + b",0.1" * 48 + b"\n",
        b"title\n%s\n-1,1.0,2000,GC,1/07/2011" + b",0.1" * 48 + b"\n",
        b"title\n%s\n1,1.0,2000,GC,1/07/2011" + b",1e300" * 48 + b"\n",
        b"title\n%s\n1,1.0,2000,GC,1/07/2011" + b",nan" * 48 + b"\n",
        b"title\n%s,Row Quality,More\n1,1.0,2000,GC,1/07/2011" + b",0.1" * 50 + b"\n",
        b"title\n%s\n\xff\n",
    ],
)
def test_broken_solar_home_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    assert HEADER[3] == CATEGORY
    path = tmp_path / "solar.csv"
    path.write_bytes(content.replace(b"%s", ",".join(HEADER).encode()))
    with pytest.raises(InputError):
        read_records(tmp_path, Path("solar.csv"))
    assert main(["profiles", "inspect", str(path)]) == 2
    assert "internal error" not in capsys.readouterr().err

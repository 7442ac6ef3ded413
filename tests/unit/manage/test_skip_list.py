import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[3]
spec = importlib.util.spec_from_file_location("check_skips", ROOT / "scripts" / "check_skips.py")
assert spec is not None
assert spec.loader is not None
check_skips = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_skips)

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.a" name="test_ran"/>
<testcase classname="tests.unit.a" name="test_left_out"><skipped type="pytest.skip" message="no root"/></testcase>
</testsuite></testsuites>"""


def test_a_skipped_test_is_found_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(REPORT)
    assert check_skips.skipped(tmp_path / "r.xml") == [("tests.unit.a::test_left_out", "no root")]


def test_only_lines_with_a_reason_allow_anything() -> None:
    patterns = check_skips.allowed("# comment\ntests.unit.a::test_x # needs a kernel of its own\ntests.unit.b::*\n")
    assert check_skips.is_allowed("tests.unit.a::test_x", patterns)
    assert not check_skips.is_allowed("tests.unit.b::test_y", patterns)

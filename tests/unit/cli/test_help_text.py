from typer.testing import CliRunner

from skypanel.cli.help import first_sentence
from skypanel.manage.main import app


def test_help_groups_commands_below_headings_and_cuts_no_sentence() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "You:", "Applications:", "Money:", "Organization:", "Operating the platform:"]
    assert "..." not in text.partition("You:")[2]


def test_help_of_a_group_cuts_no_sentence() -> None:
    text = CliRunner().invoke(app, ["env", "--help"]).output
    assert "..." not in text.partition("Commands:")[2]
    assert "interruption" in text


def test_only_the_first_sentence_is_shown() -> None:
    assert first_sentence("Stop it. And more.\n\nLater.") == "Stop it"
    assert first_sentence("One\n    line, broken.") == "One line, broken"

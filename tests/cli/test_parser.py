"""Options, environment variables and the words of usage errors."""

import argparse

import pytest
from headrace.api.cli.errors import UsageError
from headrace.api.cli.parser import Choice, CommandParser


@pytest.fixture
def parser(monkeypatch):
    monkeypatch.setenv("THE_HOST", "from-environment")
    made = CommandParser("prog", "Does things")
    leaf = made.command("do", "Do it", aliases=("d",))
    leaf.option("-H", "--host", env="THE_HOST", default="from-default", help="Where")
    leaf.option("--format", type=Choice(("pretty", "json")), default="pretty", help="How")
    leaf.option("--level", env="NOT_SET", required=True, help="What")
    leaf.argument("name", help="Who")
    leaf.set_defaults(run=lambda args: None)
    return made


def test_the_environment_comes_before_the_default_and_the_option_before_both(parser):
    assert parser.parse(["do", "--level", "1", "x"]).host == "from-environment"
    assert parser.parse(["do", "--level", "1", "-H", "typed", "x"]).host == "typed"


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("THE_HOST", "")
    parser = CommandParser("prog", "Does things")
    parser.option("--host", env="THE_HOST", default="from-default", help="Where")
    parser.set_defaults(run=print)
    assert parser.parse([]).host == "from-default"


def test_a_variable_makes_a_required_option_optional(monkeypatch):
    monkeypatch.setenv("LEVEL", "7")
    parser = CommandParser("prog", "Does things")
    parser.option("--level", env="LEVEL", required=True, type=int, help="What")
    parser.set_defaults(run=print)
    assert parser.parse([]).level == 7


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("false", False), ("0", False), ("", False)])
def test_a_flag_reads_its_variable(monkeypatch, text, value):
    monkeypatch.setenv("NO_VERIFY", text)
    parser = CommandParser("prog", "Does things")
    parser.option("--no-verify", env="NO_VERIFY", action="store_true", default=False, help="Risk it")
    parser.set_defaults(run=print)
    assert parser.parse([]).no_verify is value


def test_missing_arguments_are_named_with_their_placeholders(parser):
    with pytest.raises(UsageError) as caught:
        parser.parse(["do"])
    assert str(caught.value) == (
        "error: the following required arguments were not provided:\n  --level <LEVEL>\n  <NAME>\n\n"
        "Usage: prog do [OPTIONS] --level <LEVEL> <NAME>\n\nFor more information, try '--help'."
    )


def test_a_wrong_value_lists_the_right_ones_and_the_nearest(parser):
    with pytest.raises(UsageError) as caught:
        parser.parse(["do", "--level", "1", "--format", "jsn", "x"])
    message = str(caught.value)
    assert "invalid value 'jsn' for '--format <FORMAT>'" in message
    assert "[possible values: pretty, json]" in message
    assert "a similar value exists: 'json'" in message


def test_a_mistyped_option_is_named_before_what_it_leaves_missing(parser):
    with pytest.raises(UsageError) as caught:
        parser.parse(["do", "--levle", "1", "x"])
    assert str(caught.value).startswith(
        "error: unexpected argument '--levle' found\n\n  tip: a similar argument exists: '--level'\n\nUsage: prog do"
    )


def test_a_mistyped_subcommand_is_answered_with_the_nearest_one(parser):
    with pytest.raises(UsageError, match=r"unrecognized subcommand 'doo'\n\n  tip: a similar subcommand exists: 'do'"):
        parser.parse(["doo"])


def test_a_superfluous_argument_is_named(parser):
    with pytest.raises(UsageError, match="unexpected argument 'y' found"):
        parser.parse(["do", "--level", "1", "x", "y"])


def test_an_option_without_its_value_is_named(parser):
    with pytest.raises(UsageError, match="a value is required for '--level <LEVEL>' but none was supplied"):
        parser.parse(["do", "--level"])


def test_options_are_not_abbreviated(parser):
    with pytest.raises(UsageError, match="unexpected argument '--lev' found"):
        parser.parse(["do", "--lev", "1", "x"])


def test_a_command_without_its_subcommand_shows_help(parser):
    with pytest.raises(UsageError, match="Commands:\n  do  "):
        parser.parse([])


def test_help_names_values_defaults_and_variables(parser, capsys):
    with pytest.raises(SystemExit) as stopped:
        parser.parse(["do", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "-H, --host <HOST>" in shown
    assert "[default: from-default]" in shown
    assert "[env: THE_HOST]" in shown
    assert "[possible values: pretty, json]" in shown
    assert "from-environment" not in shown


def test_some_options_show_with_help_all_only(capsys):
    parser = CommandParser("prog", "Does things")
    parser.option("--common", help="Often used")
    parser.option("--rare", help="Seldom used", shown="all")
    parser.option("--foreign", help="Taken and ignored", shown="never")
    for flag, rare in (("--help", False), ("--help-all", True)):
        with pytest.raises(SystemExit):
            parser.parse([flag])
        shown = capsys.readouterr().out
        assert "--common" in shown
        assert ("--rare" in shown) is rare
        assert "--foreign" not in shown


def test_an_inherited_option_may_stand_on_either_side_of_the_subcommand():
    parser = CommandParser("prog", "Does things")
    parser.option("-d", "--database", help="Which")
    leaf = parser.command("list", "List")
    leaf.inherit(parser)
    leaf.set_defaults(run=print)
    assert parser.parse(["-d", "x", "list"]).database == "x"
    assert parser.parse(["list", "-d", "x"]).database == "x"
    assert parser.parse(["-d", "x", "list", "-d", "y"]).database == "y"
    assert parser.parse(["list"]).database is None


def test_errors_are_raised_and_never_exit(parser):
    for words in ([], ["do"], ["nothing"], ["do", "--level"]):
        with pytest.raises(UsageError):
            parser.parse(words)
    assert issubclass(CommandParser, argparse.ArgumentParser)

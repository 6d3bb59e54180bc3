"""``serve``: its options are the declared settings, all of them."""

import pytest
from headrace.api.cli.main import find
from headrace.api.cli.serve import COMMON, settings_of
from headrace.api.foreign_settings import IGNORED, REFUSED
from headrace.api.settings import SETTINGS, ServerSettings


def load(*words: str) -> ServerSettings:
    """The settings that the command line ``serve WORDS`` leads to."""
    command = find("serve")
    assert command is not None
    return settings_of(command.parser("headrace").parse(list(words)))


def test_every_setting_is_an_option(run):
    shown = run("serve", "--help-all").out
    for setting in SETTINGS:
        for option in setting.options:
            assert f"{option}" in shown
        for variable in setting.env:
            assert variable in shown


def test_help_lists_the_common_settings_only(run):
    shown = run("serve", "--help").out
    names = {setting.name for setting in SETTINGS}
    assert names >= COMMON
    for name in COMMON:
        assert f"--{name}" in shown
    assert "--wal-segment-size" not in shown


def test_options_reach_the_settings(tmp_path):
    settings = load(
        *("--node-id", "n1", "--object-store", "memory", "--data-dir", str(tmp_path)),
        *("--http-bind", "127.0.0.1:0", "--without-auth", "--wal-flush-interval", "100ms"),
    )
    assert (settings.node_id, settings.object_store, settings.data_dir) == ("n1", "memory", tmp_path)
    assert settings.without_auth
    assert settings.wal_flush_interval == 0.1


def test_options_win_over_the_environment(monkeypatch):
    monkeypatch.setenv("INFLUXDB3_NODE_IDENTIFIER_PREFIX", "from-environment")
    assert load().node_id == "from-environment"
    assert load("--node-id", "typed").node_id == "typed"


def test_an_option_may_come_without_its_value_where_it_has_one_to_fall_back_on():
    assert str(load("--admin-token-recovery-http-bind").admin_token_recovery_http_bind) == "127.0.0.1:8182"
    typed = load("--admin-token-recovery-http-bind", "127.0.0.1:9999", "--without-auth")
    assert str(typed.admin_token_recovery_http_bind) == "127.0.0.1:9999"


@pytest.mark.parametrize(("flags", "level"), [([], "info"), (["-v"], "info"), (["-vv"], "debug"), (["-vvv"], "debug")])
def test_verbose_twice_logs_everything(flags, level):
    assert load(*flags).log_filter == level


def test_options_of_influxdb_3_that_mean_nothing_here_are_taken():
    words = []
    for foreign in IGNORED:
        words += [f"--{foreign.name}"] if foreign.flag else [f"--{foreign.name}", "1"]
    assert len(load(*words).remarks) == len(IGNORED)


@pytest.mark.parametrize("foreign", REFUSED, ids=lambda foreign: foreign.name)
def test_options_that_ask_for_what_is_not_there_are_refused(run, foreign):
    outcome = run("serve", f"--{foreign.name}", "x")
    assert outcome.code == 2
    assert f"--{foreign.name} cannot be used: {foreign.reason}" in outcome.err


def test_a_value_that_cannot_be_read_is_refused_by_name(run):
    outcome = run("serve", "--wal-flush-interval", "soon")
    assert outcome.code == 2
    assert "invalid value for --wal-flush-interval" in outcome.err


def test_no_option_is_declared_twice():
    command = find("serve")
    assert command is not None
    flags = [flag for option in command.parser("headrace").options for flag in option.flags]
    assert len(flags) == len(set(flags))

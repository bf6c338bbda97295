"""The one command line: `finsync`. Commands import what they need when they run, so that `--help` is instant."""


def main() -> None:
    """What the `finsync` command runs."""
    from sync_engine.cli.commands import app

    app()

"""The command ``landscape``. Nothing here imports torch; a command that needs it does so when it runs."""

from __future__ import annotations

import gc
import importlib
import io
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click
from click.shell_completion import CompletionItem

from landscape import __version__
from landscape.cli.help import completed
from landscape.cli.progress import listen, shown
from landscape.errors import InputError, did_you_mean
from landscape.lazy import OWN_PROCESS, much_imported

COMMANDS = {
    "demo": "Train small seeds on real text, run the whole study and write a report.",
    "init": "A first study file for a folder of runs, or for a family.",
    "families": "Known families of public checkpoints, their seeds, steps and defects.",
    "audit": "Mislabelled, duplicate or missing checkpoints.",
    "barriers": "Barrier matrix between checkpoints.",
    "align": "Align a checkpoint to another by permutations and rotations, and save it.",
    "curve": "Learned curve between two checkpoints.",
    "plane": "Loss on a plane, drawn to scale.",
    "simplex": "Loss of weighted averages of checkpoints.",
    "components": "Which parts of a network make the barrier.",
    "trajectory": "Loss on lines along a run, and of means of its last checkpoints.",
    "llc": "Local learning coefficients.",
    "probe": "Behavioural probes: what checkpoints can do.",
    "point": "Write a point on a path as a checkpoint.",
    "plan": "Cost of a study, before it is run.",
    "run": "Run or resume a study.",
    "status": "What is done, failed and left.",
    "stages": "Events, stages, and whether connectivity is associated with behaviour.",
    "export": "All rows as CSV, Parquet or netCDF.",
    "columns": "What the columns of results say.",
    "report": "Figures and a page of a finished study.",
}
STOPPED = 75
KEEP_NOTHING = ("barriers", "simplex", "components", "trajectory", "llc", "probe", "align")


class Stopped(BaseException):
    """SIGTERM came: stop now, go on when run again."""


class _Lazy(click.Group):
    """Imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with much_imported():
            command: click.Command = importlib.import_module(f"landscape.cli.{cmd_name}").command
        return completed(command, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, for which none is imported."""
        own = [CompletionItem(name, help=said) for name, said in COMMANDS.items() if name.startswith(incomplete)]
        return own or super().shell_complete(ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Mode connectivity and loss landscapes across checkpoints and seeds.

    Start with: landscape demo
    """
    listen()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 done; 1 internal error; 2 bad usage or input; 3 finished but some tasks failed; 75 stopped
    by SIGTERM, run again to go on; 130 interrupted.
    """
    OWN_PROCESS.set()
    signal.signal(signal.SIGTERM, _stop)
    listen()
    try:
        code = cli.main(arguments, standalone_mode=False)
    except InputError as error:
        click.echo(shown(f"Error: {error}"), err=True)
        code = 2
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        click.echo(shown(said.getvalue()), err=True, nl=False)
        code = error.exit_code
    except Stopped:
        click.echo(f"Stopped; {_again(arguments)}", err=True)
        code = STOPPED
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"Interrupted; {_again(arguments)}", err=True)
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    gc.freeze()  # else Python looks for garbage among all objects before it ends, which takes seconds
    sys.exit(code or 0)


def _again(arguments: Sequence[str] | None) -> str:
    """What running the command again will do."""
    given = sys.argv[1:] if arguments is None else arguments
    anew = next(iter(given), "") in KEEP_NOTHING
    return "run the same command again, which begins anew." if anew else "run the same command again to go on."


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


if __name__ == "__main__":
    main()

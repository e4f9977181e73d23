"""``iocaudit``: finds the subcommand, and turns our own errors into one line and an exit code."""

import errno
import importlib
import os
import sys

import click

from iocaudit import __version__
from iocaudit.cli.extras import advice
from iocaudit.cli.groups import CommandGroup, unknown_option
from iocaudit.cli.standard_streams import NOT_WRITTEN, give_up_output, prepare_streams
from iocaudit.core.errors import IocauditError

_COMMANDS = {
    "scan": ("scan_command", "Audit manifests in files and folders, or a live cluster."),
    "detect": ("detect_command", "Find indicators of compromise in recorded audit logs, Falco output and alerts."),
    "activity": ("activity_command", "Show what one account did, by audit logs."),
    "incident": ("incident_command", "Show an incident, export its evidence, and verify it."),
    "profile": ("profile_command", "Learn what activity is expected, and check what lies outside of it."),
    "checks": ("checks_command", "List the checks."),
    "explain": ("explain_command", "Explain checks, or an indicator of compromise."),
    "policy": ("policy_command", "Ask which policy decides, and what one would deny."),
    "export": ("export_command", "Write the policies in force as ValidatingAdmissionPolicies."),
    "waive": ("waive_command", "Write IocWaivers for what was found, with owner, reason and end."),
    "rbac": ("rbac_command", "Show who may do what, and which paths lead to cluster-admin."),
    "top": ("top_command", "Show the worst findings in a live cluster."),
    "receivers": ("receivers_command", "Receive signals of Falco, Alertmanager and audit logs."),
    "webhook": ("webhook_command", "Run the validating admission webhook."),
    "operator": ("operator_command", "Run the operator."),
    "engines": ("engines_command", "List or install the programs that evaluate rules in Rego and CEL."),
    "manifests": ("manifests_command", "Print the manifests that install the auditor in a cluster."),
    "uninstall": ("uninstall_command", "Show what an uninstall deletes, and how to keep policies and waivers."),
    "completion": ("completion_command", "Print the shell script that completes commands, options and check ids."),
    "version": ("version_command", "Print the version."),
}


class _LazyGroup(CommandGroup):
    """Imports a subcommand's module only when it is asked for: a scan must start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"iocaudit.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="iocaudit")
def cli() -> None:
    """Audit Kubernetes configuration against indicators of compromise."""


def _called() -> str:
    """The name to show: ``kubectl iocaudit`` where kubectl runs the program as its plugin."""
    return "kubectl iocaudit" if os.path.basename(sys.argv[0]).startswith("kubectl-iocaudit") else "iocaudit"


def main() -> None:
    """The entry point. Exit code 2 for wrong usage and for errors of our own, 130 for Ctrl-C."""
    prepare_streams()
    try:
        try:
            code = _run()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in NOT_WRITTEN:
            raise
        code = give_up_output(error)
    sys.exit(code)


def _run() -> int:
    streams = sys.stdout, sys.stderr
    try:
        code = cli.main(prog_name=_called(), standalone_mode=False)
    except click.ClickException as error:
        (unknown_option(error) if isinstance(error, click.NoSuchOption) else error).show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except SystemExit as ended:
        if sys.stdout is streams[0]:
            raise
        # click takes a reader that has gone for the end, with the exit code of findings
        sys.stdout, sys.stderr = streams
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from ended
    except IocauditError as error:
        from iocaudit.sinks.escape import visible  # late: only mistakes need it

        # an error may have several lines, and names from files in each
        click.echo("\n".join(map(visible, f"iocaudit: {error}".split("\n"))), err=True)
        return 2
    except ModuleNotFoundError as error:
        if (text := advice(error)) is None:
            raise
        click.echo(f"iocaudit: {text}", err=True)
        return 2
    return code if isinstance(code, int) else 0

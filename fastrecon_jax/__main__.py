"""`fastrecon COMMAND ...`, or `python -m fastrecon_jax COMMAND ...`: the one entry to all commands."""

import sys

from fastrecon_jax.command_line import collector, commands, console
from fastrecon_jax.errors import InputError


def main() -> None:
    """Run the command that the first argument names, as `python -m fastrecon_jax.COMMAND` would."""
    console.show_everything()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "help"):
        commands.tell(commands.usage())
        return
    try:
        with collector.paused():
            module = commands.load(name)
    except InputError as error:
        sys.stderr.write(f"error: {console.shown(error)}\n")
        sys.exit(2)
    sys.argv = [f"fastrecon {name}", *sys.argv[2:]]
    sys.modules["__main__"].__doc__ = module.__doc__  # what --help prints above the flags
    commands.run(module.CONFIG, module.main, getattr(module, "PRESETS", None))


if __name__ == "__main__":
    main()

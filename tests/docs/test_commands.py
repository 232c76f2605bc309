import re
import shlex

import pytest

from fastrecon_jax import methods
from fastrecon_jax.command_line import commands
from fastrecon_jax.methods.settings import prefix
from tests.docs.pages import PAGES, ROOT, blocks, name

COMMANDS = (
    *("eval", "compare", "fit", "predict", "join", "extend", "report", "export", "demo"),
    *("pretrain", "prepare", "encoders", "doctor"),
)
TAKES = {"scripts/paper_table.py": "eval", "scripts/prepare_data.py": "prepare", "scripts/quickstart.sh": "eval"}
LINE = re.compile(r"(?:python -m fastrecon_jax\.|\bfastrecon )(\w+)(.*)|((?:scripts|examples)/\w+\.(?:py|sh))(.*)")
METHODS = "Settings of methods"
ENCODER = "Encoder and preprocessing"


def flags_of_script(path):
    """The flags that a script defines, and those of the command that it passes its own on to."""
    taken = commands.flags_of(TAKES[path]) if path in TAKES else set()
    file = ROOT / path
    if file.with_suffix(".py").is_file():  # that a .sh passes its flags on to
        file = file.with_suffix(".py")
    others = [*file.parent.glob("benchmarks/options.py"), *file.parent.glob("common.py")]
    text = "".join(source.read_text(encoding="utf-8") for source in (file, *others))
    return (
        taken
        | set(re.findall(r"""(?:DEFINE_\w+|setting|argument)\(\s*["'](\w+)["']""", text))
        | set(re.findall(r"^    (\w+): [\w\[\], .|]+ = (?:fields\.)?setting\(", text, re.M))
    )


def lines():
    """Each line of each shell block that starts one of our commands, with what it starts and its arguments."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in re.sub(r"\\\n", " ", block).splitlines():
                found = LINE.search(line)
                if found and not line.lstrip().startswith("#"):
                    yield name(page), line.strip(), found


def words(text):
    """The words of a command line, up to a comment or the end of a quotation."""
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return shlex.split(text.replace('"', ""), comments=True)


@pytest.mark.parametrize(("page", "line", "found"), list(lines()))
def test_flags_in_documents_exist(page, line, found):
    command, arguments, script, script_arguments = found.groups()
    if command:
        assert command in COMMANDS, f"{page}: there is no command {command}"
        allowed = commands.flags_of(command)
    else:
        assert (ROOT / script).is_file(), f"{page}: {script} is missing"
        allowed = flags_of_script(script)
    plugins = [name for given in re.findall(r"--plugin=(\S+)", line) for name in given.split(",")]
    for word in words(arguments if command else script_arguments):
        flag = re.match(r"--(\w+)", word)
        own = any(f"{plugin}_" in word for plugin in plugins)  # a setting of the reader's own method
        known = flag is None or own or flag[1] in allowed or flag[1].removeprefix("no") in allowed
        assert known, f"{page}: {line} has {word}, which does not exist"


def sections():
    """The flags that each section of the reference lists."""
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    found = {}
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        rows = [line.split("|")[1:3] for line in body.splitlines() if line.startswith("| `")]
        found[title] = {flag for row in rows for cell in row for flag in re.findall(r"`--(\w+)`", cell)}
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_lists_every_flag_and_no_other(command):
    listed = sections()
    shared = set()
    if command in ("eval", "fit"):
        shared = listed[METHODS] | listed[ENCODER]
    if command == "demo":
        shared = listed[ENCODER] - {"stages", "encoder_options", "dtype", "tile", "preset"}
    actual = {flag for flag in commands.flags_of(command) if not own_to_a_method(flag, listed[METHODS])}
    assert listed[command] | shared == actual


def own_to_a_method(flag, settings):
    """Whether it is a setting with its method's name before it."""
    own = {f"{prefix(name)}_{setting}" for name in methods.names() for setting in settings}
    return flag in own and flag not in settings

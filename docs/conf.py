"""How the documentation is built: `python -m sphinx -W --keep-going -b html docs OUT`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from semiont_jobs.version import __version__  # noqa: E402 - found through the path set above

project = "semiont_jobs"
author = "The AI Alliance"
copyright = "The AI Alliance, Apache-2.0"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "architecture_directives",
    "command_directives",
    "lifecycle_directives",
    "mutants_directive",
]
exclude_patterns = ["_build"]
# A name in single backticks links to what it names, and is plain code where nothing has it.
default_role = "py:obj"
highlight_language = "none"
rst_prolog = ".. py:currentmodule:: semiont_jobs\n"
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "alabaster"
html_title = f"semiont_jobs {release}"
html_show_sphinx = False
html_copy_source = False
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_theme_options = {
    "description": "A durable job queue that is a directory.",
    "fixed_sidebar": True,
    "page_width": "1080px",
    "sidebar_width": "240px",
    "show_relbars": True,
    "font_size": "16px",
    "code_font_size": "0.85em",
}

# Where a docstring's bare name may live, if not in the module that the docstring is in.
HOMES = (
    "semiont_jobs",
    "semiont_jobs.store",
    "semiont_jobs.JobQueue",
    "semiont_jobs.testing.suite",
)


def find_at_home(app, env, node, contnode):
    """Link a bare name to where this documentation describes it."""
    domain = env.get_domain("py")
    for home in HOMES:
        name = f"{home}.{node.get('reftarget')}"
        if node.get("refdomain") == "py" and name in domain.objects:
            return domain.resolve_xref(
                env, node["refdoc"], app.builder, "obj", name, node, contnode
            )
    return None


def setup(app):
    app.connect("missing-reference", find_at_home)

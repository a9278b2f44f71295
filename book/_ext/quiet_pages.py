"""Leaves out of every page the scripts for live code cells, which this book does not offer and
which would go to the web.
"""


def _without_thebe(app, pagename, templatename, context, doctree) -> None:  # noqa: ANN001 (Sphinx's own signature)
    def is_thebe(script: object) -> bool:
        told = f"{getattr(script, 'filename', script)} {getattr(script, 'attributes', '')}"
        return "thebe" in told.lower()

    context["script_files"] = [
        script for script in context.get("script_files", []) if not is_thebe(script)
    ]


def setup(app) -> dict:  # noqa: ANN001
    """Connect to Sphinx."""
    app.connect("html-page-context", _without_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""HTML from the templates in ``templates/``, and how numbers are written in it.

All that is put into a template is escaped, unless the template says that it is HTML already.
"""

from jinja2 import Environment, PackageLoader, StrictUndefined


def rounded(value: float, digits: int) -> str:
    """A number for people: a real minus sign, and no negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


_TEMPLATES = Environment(
    loader=PackageLoader("blurpaper.book"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["rounded"] = rounded


def render(template: str, **values: object) -> str:
    """A template filled in."""
    return _TEMPLATES.get_template(template).render(values)

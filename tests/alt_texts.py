"""What tests ask of the texts for those who cannot see a page's figures, read by other means than
those that wrote them.
"""

from html.parser import HTMLParser

WORDS = 8
"""A figure cannot be told in fewer."""


class Pictures(HTMLParser):
    """The texts of all that a page shows as one picture, None where it has none; what is hidden
    from readers is left out.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("aria-hidden") == "true":
            return
        if given.get("role") == "img":
            self.texts.append(given.get("aria-label"))
        elif tag == "img":
            self.texts.append(given.get("alt"))
        elif tag == "svg":
            self.texts.append(None)


def check_alt_texts(name: str, page: str) -> int:
    """That every picture of a page has a text of several words, and no other picture the same; how
    many there are.
    """
    texts = Pictures(page).texts
    for text in texts:
        assert text and len(text.split()) >= WORDS, (name, text)
    assert len(set(texts)) == len(texts), name
    return len(texts)

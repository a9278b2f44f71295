// The search of the book: chapters come before the reference, and an excerpt is of a page's text alone.
if (typeof Search !== "undefined") {
  Scorer.score = ([name, , , , score]) => (name.startsWith("book/reference") ? score - 1000 : score);
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(".headerlink, script, style, svg").forEach((one) => one.remove());
    const found = (anchor && page.querySelector(anchor)) || page.querySelector("article");
    const text = found && found.tagName === "DT" ? found.nextElementSibling : found;
    return text ? text.textContent : "";
  };
  // A page that is opened as a file may not read others.
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = location.protocol !== "file:";
}

// Tables of results can be sorted: each heading of a column becomes a button, for first rising, then falling, then the given order.
document.querySelectorAll("table.blurpaper").forEach((table) => {
  const body = table.tBodies[0];
  if (table.tBodies.length !== 1 || !table.tHead || body.rows.length < 3) return;
  const given = [...body.rows];
  const width = given[0].cells.length;
  if (given.some((row) => row.cells.length !== width || row.querySelector("[rowspan], [colspan]"))) return;

  // Which heading stands above which column: those of the lowest row of the head that reach it, spans counted.
  const above = new Array(width);
  const taken = [];
  [...table.tHead.rows].forEach((row, level) => {
    let column = 0;
    [...row.cells].forEach((cell) => {
      while (taken[column] > level) column += 1;
      for (let next = column; next < column + cell.colSpan; next += 1) {
        taken[next] = level + cell.rowSpan;
        above[next] = cell.colSpan === 1 ? cell : undefined;
      }
      column += cell.colSpan;
    });
  });

  // What a cell is sorted by: its number, without the interval that stands below it, or its words.
  const text = (cell) => {
    const copy = cell.cloneNode(true);
    copy.querySelectorAll(".interval").forEach((interval) => interval.remove());
    return copy.textContent.trim();
  };
  const number = (words) => {
    const found = words.replaceAll("−", "-").replaceAll(",", "").match(/^[+-]?\d+(\.\d+)?(e[+-]?\d+)?/);
    return found ? Number(found[0]) : NaN;
  };
  const missing = (words) => words === "" || words === "–" || words === "nan";

  above.forEach((heading, column) => {
    if (!heading || !heading.textContent.trim() || heading.querySelector("a, button, input, select")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      above.forEach((other) => other && other.removeAttribute("aria-sort"));
      if (before === "descending") {
        body.append(...given);
        return;
      }
      const direction = before === "ascending" ? -1 : 1;
      heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const keyed = given.map((row) => [text(row.cells[column]), row]);
      const numeric = keyed.every(([words]) => missing(words) || !Number.isNaN(number(words)));
      keyed.sort(([one], [other]) => {
        if (missing(one) || missing(other)) return missing(one) - missing(other);
        return direction * (numeric ? number(one) - number(other) : one.localeCompare(other, "en", { numeric: true }));
      });
      body.append(...keyed.map(([, row]) => row));
    });
  });
});

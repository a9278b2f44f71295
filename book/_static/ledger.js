// The choices above the ledger of claims: rows that do not fit them are hidden, and the rest counted.
document.querySelectorAll("form.ledger-filter").forEach((form) => {
  const rows = [...form.parentElement.querySelectorAll("table.ledger tbody tr")];
  const selects = [...form.querySelectorAll("select")];
  const fits = (row) => selects.every((select) => {
    if (!select.value) return true;
    const name = select.dataset.source === undefined ? "data-section" : `data-verdict-${select.dataset.source}`;
    return row.getAttribute(name) === select.value;
  });
  const choose = () => {
    rows.forEach((row) => { row.hidden = !fits(row); });
    form.querySelector("output").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims`;
  };
  selects.forEach((select) => select.addEventListener("change", choose));
  form.addEventListener("submit", (event) => event.preventDefault());
  choose();
});

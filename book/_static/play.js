// The page with a blur slider: shows of the data that came with it what the controls ask for.
(() => {
  const form = document.getElementById("play");
  const data = JSON.parse(document.getElementById("play-data").textContent);
  const { photograph, kind, size } = form.elements;
  const [picture, status] = [new Image(), form.querySelector("[role=status]")];
  picture.className = "dark-light";
  form.querySelector("figure").prepend(picture);
  let speaking;

  const element = (name, text, className) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}\u00a0%`;

  const draw = (panel, found, answers) => {
    panel.querySelector("caption").textContent = `entropy ${found.entropy.toFixed(2)} nats`;
    panel.querySelector("tbody").replaceChildren(...found.likely.map(([label, share]) => {
      const [row, cell] = [element("tr", ""), element("td", percent(share))];
      const head = element("th", answers.includes(label) ? `${label} ✓` : label);
      head.scope = "row";
      const bar = element("span", "", "play-bar");
      bar.style.setProperty("--share", share);
      cell.prepend(bar);
      row.append(head, cell);
      return row;
    }));
  };

  const show = () => {
    const one = data.photographs[photograph.value];
    const [condition, words] = Object.entries(data.kinds[kind.value])[Number(size.value)];
    form.querySelector("output").textContent = words;
    size.setAttribute("aria-valuetext", words);
    [picture.src, picture.alt] = [one.pictures[condition], `Photograph of ${one.title}: ${words}`];
    [picture.width, picture.height] = one.size;
    form.querySelector("figcaption").textContent = one.source;
    const told = Object.entries(one.networks).map(([name, under]) => {
      draw(form.querySelector(`[data-network="${name}"]`), under[condition], one.answers);
      const [label, share] = under[condition].likely[0];
      return `${name}: ${label}, ${percent(share)}`;
    });
    form.dataset.shown = `${photograph.value} ${condition}`;
    clearTimeout(speaking);
    speaking = setTimeout(() => { status.textContent = `${words}. ${told.join("; ")}.`; }, 300);
  };

  const [name, first] = data.first;
  const title = Object.keys(data.kinds).find((one) => first in data.kinds[one]);
  const notches = Object.keys(data.kinds[title]);
  [photograph.value, kind.value, size.max, size.value] = [name, title, notches.length - 1, notches.indexOf(first)];
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("play-plain").remove();
  form.hidden = false;
  show();
})();
